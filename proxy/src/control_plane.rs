//! A control plane as a gateway meets it: an address, a token, and what is asked there.
//!
//! Blocking, as those who ask have threads of their own. What is done with the answers is
//! [`crate::source`]'s business and [`crate::check_in`]'s; how it is fetched is in [`client`].

pub(crate) mod client;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ureq::http::Uri;
use ureq::http::uri::Scheme;

/// Where a control plane is, and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPlane {
    /// Its address.
    pub url: ControlPlaneUrl,
    /// The file with the token; read at each request, so that a new token is taken as it comes.
    pub token_file: Option<PathBuf>,
    /// Authorities in PEM that its certificate must be signed by, in the place of the system's.
    pub ca: Option<PathBuf>,
}

/// Address of a control plane: `http` or `https`, a host, perhaps a path in front of `/v1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPlaneUrl {
    base: String,
    loopback: bool,
}

/// Why a text is not the address of a control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL, or one of another kind.
    #[error("an address looks like http://127.0.0.1:7080 or https://gateway.example.com")]
    NotHttp,
    /// A user name or password in the address.
    #[error("credentials do not belong in the address: give the token with --token-file")]
    Credentials,
    /// A query in the address.
    #[error("the address of a control plane has no `?` part")]
    Query,
}

impl ControlPlaneUrl {
    /// The whole URL of a request target that begins with `/`.
    fn join(&self, target: &str) -> String {
        format!("{}{target}", self.base)
    }
}

impl FromStr for ControlPlaneUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let uri: Uri = text.parse().map_err(|_| UrlError::NotHttp)?;
        let http = uri.scheme() == Some(&Scheme::HTTP) || uri.scheme() == Some(&Scheme::HTTPS);
        let (true, Some(authority)) = (http, uri.authority()) else {
            return Err(UrlError::NotHttp);
        };
        if authority.as_str().contains('@') {
            return Err(UrlError::Credentials);
        }
        if uri.query().is_some() {
            return Err(UrlError::Query);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let address: Result<IpAddr, _> = host.parse();
        let loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        Ok(Self { base: text.trim_end_matches('/').to_owned(), loopback })
    }
}

impl fmt::Display for ControlPlaneUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let table = [
            ("http://127.0.0.1:7080", Ok("http://127.0.0.1:7080/v1")),
            ("https://gw.example.com/refgate/", Ok("https://gw.example.com/refgate/v1")),
            ("localhost:7080", Err(UrlError::NotHttp)),
            ("ftp://x", Err(UrlError::NotHttp)),
            ("http://u:p@x", Err(UrlError::Credentials)),
            ("http://x/?a=b", Err(UrlError::Query)),
        ];
        for (text, expected) in table {
            let joined = text.parse::<ControlPlaneUrl>().map(|url| url.join("/v1"));
            assert_eq!(joined.as_deref().map_err(|error| *error), expected, "{text}");
        }
    }
}

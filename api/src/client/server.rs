//! Where the control plane is, and the token that opens it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ureq::http::Uri;
use ureq::http::uri::Scheme;

/// Address of a control plane: `http` or `https`, a host, perhaps a path in front of `/v1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    base: String,
    loopback: bool,
}

/// Why a text is not the address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerUrlError {
    /// Not a URL at all, or one of another kind.
    #[error("an address looks like http://127.0.0.1:7080 or https://gateway.example.com")]
    NotHttp,
    /// A user name or password in the address.
    #[error("credentials do not belong in the address: give the token with REFGATE_TOKEN")]
    Credentials,
    /// A query in the address.
    #[error("the address of a server has no `?` part")]
    Query,
}

impl ServerUrl {
    /// The whole URL of a request target that begins with `/`.
    #[must_use]
    pub fn join(&self, target: &str) -> String {
        format!("{}{target}", self.base)
    }

    /// Host and port as they stand in the address.
    #[must_use]
    pub fn authority(&self) -> &str {
        let rest = self.base.split_once("://").map_or(self.base.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or(rest)
    }

    /// Whether the server is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let uri: Uri = text.parse().map_err(|_| ServerUrlError::NotHttp)?;
        let http = uri.scheme() == Some(&Scheme::HTTP) || uri.scheme() == Some(&Scheme::HTTPS);
        let (true, Some(authority)) = (http, uri.authority()) else {
            return Err(ServerUrlError::NotHttp);
        };
        if authority.as_str().contains('@') {
            return Err(ServerUrlError::Credentials);
        }
        if uri.query().is_some() {
            return Err(ServerUrlError::Query);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let address: Result<IpAddr, _> = host.parse();
        let loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        Ok(Self { base: text.trim_end_matches('/').to_owned(), loopback })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.base)
    }
}

/// A bearer token. Neither shown nor logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A text that cannot be sent as a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a token is printable ASCII without spaces")]
pub struct TokenError;

impl Token {
    /// The token itself, for the file that keeps it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// The value of the `Authorization` header.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(TokenError)
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        type Expected = Result<(&'static str, bool), ServerUrlError>;
        let table: &[(&str, Expected)] = &[
            ("http://127.0.0.1:7080", Ok(("http://127.0.0.1:7080/v1", true))),
            ("http://localhost:7080/", Ok(("http://localhost:7080/v1", true))),
            ("http://[::1]:7080", Ok(("http://[::1]:7080/v1", true))),
            ("https://gw.example.com/refgate/", Ok(("https://gw.example.com/refgate/v1", false))),
            ("localhost:7080", Err(ServerUrlError::NotHttp)),
            ("ftp://x", Err(ServerUrlError::NotHttp)),
            ("", Err(ServerUrlError::NotHttp)),
            ("http://u:p@x", Err(ServerUrlError::Credentials)),
            ("http://x/?a=b", Err(ServerUrlError::Query)),
        ];
        for (text, expected) in table {
            let url = text.parse::<ServerUrl>();
            let seen = url.as_ref().map(|url| (url.join("/v1"), url.is_loopback()));
            let seen = seen.as_ref().map(|(url, loopback)| (url.as_str(), *loopback));
            assert_eq!(seen.map_err(|error| (*error).clone()), *expected, "{text}");
        }
    }

    #[test]
    fn tokens_are_trimmed_and_never_shown() {
        let token: Token = "rg_abc\n".parse().expect("a token");
        assert_eq!(token.bearer(), "Bearer rg_abc");
        assert_eq!(format!("{token:?}"), "Token(…)");
        for text in ["", " ", "a b", "a\nb", "ä"] {
            assert!(text.parse::<Token>().is_err(), "{text:?}");
        }
    }
}

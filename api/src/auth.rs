//! Who is asking, and what that one may do: tokens, known by their hashes only, each with a role.
//!
//! The hashes live in the configuration repository on `refs/refgate/access`, so that a copy of
//! the repository is a copy of who may do what. This file owns the roles, how a request presents a
//! token and the comparison; tokens themselves are in [`token`], their list in [`access`]. Where
//! the first token comes from is [`crate::server`]'s business, asking for one at every request is
//! [`crate::http::edge`]'s.

pub mod access;
pub mod token;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

pub use access::{Access, TokenName, TokenView};
pub use token::{Token, TokenError, TokenHash};

/// The file on `refs/refgate/access` that holds the tokens.
pub const TOKENS_FILE: &str = "tokens.json";

/// The name of the first administrator's token; the actor of what is done with it.
pub const ADMIN: &str = "admin";

/// The name of this process's own git hooks.
const HOOK: &str = "refgate-hook";

/// What a token may do. Each role may read what the one before may; what writes is said of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Fetch the configuration of groups and check in, as gateways do.
    Gateway,
    /// Read, clone, fetch.
    Viewer,
    /// Write and push what groups hold.
    Editor,
    /// Make, change and delete groups and tokens.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 4] = [Self::Gateway, Self::Viewer, Self::Editor, Self::Admin];

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }

    /// Whether it may say how a gateway is: viewers change nothing, and what others wait for is
    /// something.
    #[must_use]
    pub fn checks_in(self) -> bool {
        self != Self::Viewer
    }

    fn of_old() -> Self {
        Self::Admin
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or("a role is gateway, viewer, editor or admin")
    }
}

/// The one behind a request, by the name of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The token's name; the `Refgate-Actor` of commits.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// The tokens that open the door now: those of the file, which change while the process runs, and
/// one for the hooks of this process that nobody else learns.
#[derive(Debug)]
pub struct Door {
    access: RwLock<Arc<Access>>,
    hook: Token,
}

impl Door {
    /// A door for these tokens, with a new one for the hooks.
    #[must_use]
    pub fn new(access: Access) -> Self {
        Self { access: RwLock::new(Arc::new(access)), hook: Token::generate() }
    }

    /// The tokens of the file.
    #[must_use]
    pub fn access(&self) -> Arc<Access> {
        Arc::clone(&self.access.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets these tokens in from now on, and no others.
    pub fn change(&self, access: Access) {
        *self.access.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(access);
    }

    /// What the hooks of this process show: they may read, nothing else.
    #[must_use]
    pub fn hook_token(&self) -> &Token {
        &self.hook
    }

    /// Whose token has this hash: somebody signed in with it and may have lost it since.
    #[must_use]
    pub fn holder(&self, hash: &TokenHash) -> Option<Principal> {
        self.access().holder(hash)
    }

    /// Whose token this is.
    #[must_use]
    pub fn identify(&self, presented: &str) -> Option<Principal> {
        if self.hook.hash().is(&TokenHash::of(presented)) {
            return Some(Principal { name: HOOK.to_owned(), role: Role::Viewer });
        }
        self.access().identify(presented)
    }
}

/// The token of the `Authorization` header, when there is exactly one and it is of our scheme.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = authorization(headers)?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// The same for git, which knows users and passwords: the token is the password of any user.
#[must_use]
pub fn bearer_or_password(headers: &HeaderMap) -> Option<String> {
    let (scheme, text) = authorization(headers)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(text.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

fn authorization(headers: &HeaderMap) -> Option<(&str, &str)> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, text) = value.to_str().ok()?.split_once(' ')?;
    Some((scheme, text.trim()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_authorization_header() {
        // What is sent, the token for the API, the token for git.
        type Row = (&'static [&'static str], Option<&'static str>, Option<&'static str>);
        let table: &[Row] = &[
            (&["Bearer abc"], Some("abc"), Some("abc")),
            (&["bearer  abc"], Some("abc"), Some("abc")),
            (&["Basic YTpi"], None, Some("b")),
            (&["basic YTpiOmM="], None, Some("b:c")),
            (&["Basic OnRva2Vu"], None, Some("token")),
            (&["Basic YWI="], None, None),
            (&["Basic %%%"], None, None),
            (&["Basic /w=="], None, None),
            (&["Digest YTpi"], None, None),
            (&["Bearer"], None, None),
            (&["Bearer abc", "Bearer abc"], None, None),
            (&[], None, None),
        ];
        for (values, api, git) in table {
            let mut headers = HeaderMap::new();
            for value in *values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            assert_eq!(bearer(&headers), *api, "{values:?}");
            assert_eq!(bearer_or_password(&headers).as_deref(), *git, "{values:?}");
        }
    }

    #[test]
    fn roles_are_in_their_order() {
        assert!(Role::ALL.is_sorted());
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().is_err());
    }

    #[test]
    fn the_hooks_may_read() {
        let door = Door::new(Access::default());
        let hook = door.identify(door.hook_token().reveal()).expect("our own token");
        assert_eq!(hook.role, Role::Viewer);
        assert!(HOOK.parse::<TokenName>().is_err(), "nobody else is called so");
        assert_ne!(Door::new(Access::default()).hook_token(), door.hook_token());

        let token = Token::generate();
        let mut access = Access::default();
        assert!(access.add("ci", token.hash(), Role::Editor, "2026-01-01T00:00:00Z"));
        door.change(access);
        assert_eq!(door.identify(token.reveal()).map(|one| one.role), Some(Role::Editor));
        door.change(Access::default());
        assert_eq!(door.identify(token.reveal()), None);
    }
}

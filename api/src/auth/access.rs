//! The tokens that are known: the content of the file of access data.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::token::TokenHash;
use super::{ADMIN, Principal, Role};

/// Every token that is known; the content of [`super::TOKENS_FILE`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    tokens: Vec<Record>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    name: String,
    hash: TokenHash,
    created_at: String,
    /// Before there were roles, every token could do everything.
    #[serde(default = "Role::of_old")]
    role: Role,
}

/// A token as others may know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenView {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Since when it is known, RFC 3339.
    pub created_at: String,
}

/// The name of a token; the actor of what is done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenName(String);

/// Why a text cannot name a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenNameError {
    /// It is not written like one.
    #[error(
        "a name of a token is 1 to 64 letters, digits, `-`, `_`, `.`, `@` and begins with a letter or digit"
    )]
    Shape,
    /// It stands for something else.
    #[error("the name {0:?} is Refgate's own; choose another")]
    Taken(&'static str),
}

/// Names under which Refgate itself acts.
const OWN: [&str; 2] = ["refgate", super::HOOK];

impl TokenName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenName {
    type Err = TokenNameError;

    fn from_str(text: &str) -> Result<Self, TokenNameError> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
        let begins = text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
        if !begins || text.len() > 64 || !text.bytes().all(known) {
            return Err(TokenNameError::Shape);
        }
        if let Some(own) = OWN.into_iter().find(|own| own.eq_ignore_ascii_case(text)) {
            return Err(TokenNameError::Taken(own));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Access {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is not what [`Self::to_file`] writes.
    pub fn from_file(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The file.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        let value = serde_json::to_value(self).unwrap_or_default();
        format!("{value:#}\n").into_bytes()
    }

    /// Whether a token of this name is known.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.tokens.iter().any(|record| record.name == name)
    }

    /// Makes `hash` the administrator's token; false when it was so before.
    pub fn set_admin(&mut self, hash: TokenHash, now: &str) -> bool {
        let known = |record: &Record| {
            (&*record.name, record.hash, record.role) == (ADMIN, hash, Role::Admin)
        };
        if self.tokens.iter().any(known) {
            return false;
        }
        self.remove(ADMIN);
        self.add(ADMIN, hash, Role::Admin, now)
    }

    /// Takes in a token; false when there is one of this name.
    pub fn add(&mut self, name: &str, hash: TokenHash, role: Role, now: &str) -> bool {
        if self.has(name) {
            return false;
        }
        let (name, created_at) = (name.to_owned(), now.to_owned());
        self.tokens.push(Record { name, hash, created_at, role });
        true
    }

    /// Forgets a token; false when there is none of this name.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.tokens.len();
        self.tokens.retain(|record| record.name != name);
        self.tokens.len() < before
    }

    /// Every token, as it was added.
    #[must_use]
    pub fn list(&self) -> Vec<TokenView> {
        let view = |record: &Record| TokenView {
            name: record.name.clone(),
            role: record.role,
            created_at: record.created_at.clone(),
        };
        self.tokens.iter().map(view).collect()
    }

    /// Whose token this is. Takes the same time whichever record matches.
    #[must_use]
    pub fn identify(&self, presented: &str) -> Option<Principal> {
        self.holder(&TokenHash::of(presented))
    }

    /// Whose token has this hash. Takes the same time whichever record matches.
    #[must_use]
    pub fn holder(&self, hash: &TokenHash) -> Option<Principal> {
        let mut found = None;
        for record in &self.tokens {
            if record.hash.is(hash) {
                found = Some(Principal { name: record.name.clone(), role: record.role });
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Token;

    #[test]
    fn tokens_are_known_by_their_hash_only() {
        let token = Token::generate();
        let mut access = Access::default();
        assert!(access.set_admin(token.hash(), "2026-01-01T00:00:00Z"));
        assert!(!access.set_admin(token.hash(), "2027-01-01T00:00:00Z"));
        let file = access.to_file();
        assert!(!String::from_utf8_lossy(&file).contains(token.reveal()));

        let read = Access::from_file(&file).expect("what was written");
        let admin = Principal { name: ADMIN.to_owned(), role: Role::Admin };
        assert_eq!(read.identify(token.reveal()), Some(admin));
        for wrong in ["", "x", Token::generate().reveal(), &token.reveal()[1..]] {
            assert_eq!(read.identify(wrong), None, "{wrong:?}");
        }
        assert!(access.set_admin(Token::generate().hash(), "2026-01-02T00:00:00Z"));
        assert_eq!(access.identify(token.reveal()), None, "a replaced token is worth nothing");
    }

    #[test]
    fn a_file_from_before_the_roles_is_read() {
        let token = Token::generate();
        let file = format!(
            r#"{{"tokens": [{{"name": "ci", "hash": "{}", "created_at": "2026-01-01T00:00:00Z"}}]}}"#,
            token.hash()
        );
        let access = Access::from_file(file.as_bytes()).expect("an old file");
        let ci = Principal { name: "ci".to_owned(), role: Role::Admin };
        assert_eq!(access.identify(token.reveal()), Some(ci));
    }

    #[test]
    fn names() {
        for name in ["ci", "a", "jane.doe@example.com", "0-x_y", &"x".repeat(64)] {
            assert!(name.parse::<TokenName>().is_ok(), "{name}");
        }
        for name in ["", "-x", ".x", "a b", "a\nb", "ä", "a/b", &"x".repeat(65), "Refgate"] {
            assert!(name.parse::<TokenName>().is_err(), "{name:?}");
        }
    }
}

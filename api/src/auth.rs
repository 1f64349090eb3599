//! Who is asking: bearer tokens, known by their hashes only.
//!
//! The hashes live in the configuration repository on `refs/refgate/access`, so that a copy of
//! the repository is a copy of who may do what. This file owns their format and the comparison;
//! where the first token comes from is [`crate::server`]'s business, asking for one at every
//! request is [`crate::http::edge`]'s.

use std::fmt;

use axum::http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The file on `refs/refgate/access` that holds the tokens.
pub const TOKENS_FILE: &str = "tokens.json";

/// The name of the first administrator's token; the actor of what is done with it.
pub const ADMIN: &str = "admin";

/// A token as a person holds it. Its text never reaches a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Why a text cannot be a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is 8 to 512 printable ASCII characters without spaces")]
pub struct TokenError;

impl Token {
    /// Takes a token that somebody chose.
    ///
    /// # Errors
    /// When it could not be sent in a header, or is too short to keep anybody out.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let sound = (8..=512).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if sound { Ok(Self(text.to_owned())) } else { Err(TokenError) }
    }

    /// A new token of 244 random bits; the prefix lets scanners for leaked secrets know it.
    #[must_use]
    pub fn generate() -> Self {
        let (a, b) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        Self(format!("rgt_{}{}", a.simple(), b.simple()))
    }

    /// The text, for the one who is to hold it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token(…)")
    }
}

/// SHA-256 of a token, written `sha256:<hex>`. Tokens are random, so a slow hash would add nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl std::str::FromStr for TokenHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "a token hash is sha256: and 64 hexadecimal digits";
        let digits = text.strip_prefix("sha256:").ok_or(SHAPE)?;
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(SHAPE);
        }
        let mut hash = [0; 32];
        for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| SHAPE)?;
        }
        Ok(Self(hash))
    }
}

impl Serialize for TokenHash {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Every token that is known; the content of [`TOKENS_FILE`].
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

    /// Makes `hash` the token of this name; false when it was so before.
    pub fn set(&mut self, name: &str, hash: TokenHash, now: &str) -> bool {
        if self.tokens.iter().any(|record| record.name == name && record.hash == hash) {
            return false;
        }
        self.tokens.retain(|record| record.name != name);
        self.tokens.push(Record { name: name.to_owned(), hash, created_at: now.to_owned() });
        true
    }

    /// Whose token this is. Takes the same time whichever record matches.
    #[must_use]
    pub fn identify(&self, presented: &str) -> Option<Principal> {
        let hash = TokenHash::of(presented);
        let mut found = None;
        for record in &self.tokens {
            if bool::from(record.hash.0.ct_eq(&hash.0)) {
                found = Some(Principal { name: record.name.clone() });
            }
        }
        found
    }
}

/// The one behind a request, by the name of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The token's name; the `Refgate-Actor` of commits.
    pub name: String,
}

/// The token of the `Authorization` header, when there is exactly one and it is of our scheme.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn tokens_are_known_by_their_hash_only() {
        let token = Token::generate();
        let mut access = Access::default();
        assert!(access.set(ADMIN, token.hash(), "2026-01-01T00:00:00Z"));
        assert!(!access.set(ADMIN, token.hash(), "2027-01-01T00:00:00Z"));
        let file = access.to_file();
        assert!(!String::from_utf8_lossy(&file).contains(token.reveal()));

        let read = Access::from_file(&file).expect("what was written");
        assert_eq!(read.identify(token.reveal()), Some(Principal { name: ADMIN.to_owned() }));
        for wrong in ["", "x", Token::generate().reveal(), &token.reveal()[1..]] {
            assert_eq!(read.identify(wrong), None, "{wrong:?}");
        }
        assert!(access.set(ADMIN, Token::generate().hash(), "2026-01-02T00:00:00Z"));
        assert_eq!(access.identify(token.reveal()), None, "a replaced token is worth nothing");
    }

    #[test]
    fn chosen_tokens() {
        for text in ["correct-horse", "a.b_c~d+e/f="] {
            assert!(Token::parse(text).is_ok(), "{text}");
        }
        for text in
            ["", "short", "with space in it", "tab\tinside", "naïve-token", &"x".repeat(513)]
        {
            assert!(Token::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_authorization_header() {
        let table: &[(&[&'static str], Option<&str>)] = &[
            (&["Bearer abc"], Some("abc")),
            (&["bearer  abc"], Some("abc")),
            (&["Basic YTpi"], None),
            (&["Bearer"], None),
            (&["Bearer abc", "Bearer abc"], None),
            (&[], None),
        ];
        for (values, token) in table {
            let mut headers = HeaderMap::new();
            for value in *values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            assert_eq!(bearer(&headers), *token, "{values:?}");
        }
    }
}

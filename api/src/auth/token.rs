//! Tokens as people hold them, and what is kept of them.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

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
    /// The hash of a text that is presented as a token.
    pub(crate) fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Whether the two are the same, in a time that does not tell how far they are.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn hashes_are_read_as_they_are_written() {
        let hash = Token::generate().hash();
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for text in ["", "sha256:", "sha256:00", &format!("sha256:{}", "zz".repeat(32))] {
            assert!(text.parse::<TokenHash>().is_err(), "{text}");
        }
    }
}

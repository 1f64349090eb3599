//! Secrets of documents: named by reference, or there as a one-way hash. Never the secret itself.
//!
//! No finding repeats the text that it is about: it may be the secret.

use serde_json::Value;

use super::reference::{GATEWAY_PATTERN, is_gateway_reference};
use super::{Reader, Shape, schema};
use crate::diagnostic::Code;

/// A secret that the gateway fetches where it runs: `$file://…` or `$env://…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretReference(String);

impl SecretReference {
    /// The reference as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Shape for SecretReference {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let text = at.text(json)?;
        if !is_gateway_reference(text) {
            at.error_with_hint(
                Code::InlineSecret,
                "a secret stands here only by reference",
                "write \"$file:///path\" or \"$env://NAME\"; the gateway resolves it",
            );
            return None;
        }
        Some(Self(text.to_owned()))
    }

    fn schema() -> Value {
        schema::text(GATEWAY_PATTERN)
    }
}

/// A key with enough chance in it that a plain hash hides it: by reference, or `sha256:<64 hex>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretKey {
    /// For the gateway to fetch.
    Reference(String),
    /// The SHA-256 of the key, in lower-case hexadecimal.
    Sha256(String),
}

impl SecretKey {
    /// The key as the document writes it.
    #[must_use]
    pub fn written(&self) -> String {
        match self {
            Self::Reference(text) => text.clone(),
            Self::Sha256(hex) => format!("sha256:{hex}"),
        }
    }
}

impl Shape for SecretKey {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let text = at.text(json)?;
        if is_gateway_reference(text) {
            return Some(Self::Reference(text.to_owned()));
        }
        let hex = text
            .strip_prefix("sha256:")
            .filter(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if hex.is_none() {
            at.error_with_hint(
                Code::InlineSecret,
                "a key stands here only by reference or as its hash",
                "write \"sha256:\" and the 64 hexadecimal digits of its SHA-256, \"$env://NAME\" or \
                 \"$file:///path\"",
            );
        }
        hex.map(|hex| Self::Sha256(hex.to_ascii_lowercase()))
    }

    fn schema() -> Value {
        schema::text(&format!("^sha256:[0-9A-Fa-f]{{64}}$|{GATEWAY_PATTERN}"))
    }

    fn expand(json: &Value) -> Value {
        match json.as_str().filter(|text| text.starts_with("sha256:")) {
            Some(text) => text.to_ascii_lowercase().into(),
            None => json.clone(),
        }
    }

    fn canonical(json: &Value) -> Value {
        Self::expand(json)
    }
}

/// A password that people choose: by reference, or as a slow hash with its salt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// For the gateway to fetch.
    Reference(String),
    /// Argon2, in the PHC string format.
    Argon2(String),
    /// bcrypt, in its modular crypt format.
    Bcrypt(String),
}

impl Shape for Password {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let text = at.text(json)?;
        if is_gateway_reference(text) {
            Some(Self::Reference(text.to_owned()))
        } else if is_argon2(text) {
            Some(Self::Argon2(text.to_owned()))
        } else if is_bcrypt(text) {
            Some(Self::Bcrypt(text.to_owned()))
        } else {
            at.error_with_hint(
                Code::InlineSecret,
                "a password stands here only by reference or as its hash",
                "write an argon2 or bcrypt hash (`htpasswd -nB`), \"$env://NAME\" or \
                 \"$file:///path\"",
            );
            None
        }
    }

    fn schema() -> Value {
        schema::text(&format!(r"^\$argon2(id|i|d)\$|^\$2[aby]\$|{GATEWAY_PATTERN}"))
    }
}

/// `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`.
fn is_argon2(text: &str) -> bool {
    let base64 = |text: &str, least: usize| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
        (least..=512).contains(&text.len()) && text.bytes().all(plain)
    };
    let number = |text: &str, key: &str| {
        text.strip_prefix(key).is_some_and(|digits| digits.parse::<u32>().is_ok_and(|n| n > 0))
    };
    let parts: Vec<&str> = text.split('$').collect();
    let ["", kind, version, costs, salt, hash] = parts[..] else { return false };
    let costs: Vec<&str> = costs.split(',').collect();
    let [memory, time, lanes] = costs[..] else { return false };
    ["argon2id", "argon2i", "argon2d"].contains(&kind)
        && number(version, "v=")
        && number(memory, "m=")
        && number(time, "t=")
        && number(lanes, "p=")
        && base64(salt, 11)
        && base64(hash, 16)
}

/// `$2b$12$` and 53 characters of salt and hash.
fn is_bcrypt(text: &str) -> bool {
    let parts: Vec<&str> = text.split('$').collect();
    let ["", kind, cost, rest] = parts[..] else { return false };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/';
    ["2a", "2b", "2y"].contains(&kind)
        && cost.len() == 2
        && cost.parse::<u8>().is_ok_and(|cost| (4..=31).contains(&cost))
        && rest.len() == 53
        && rest.bytes().all(plain)
}

//! `consumers/<consumer>.json`: somebody who calls the services of a group. Never promoted.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::certificate::public_pem;
use super::group::Labels;
use super::reference::GATEWAY_PATTERN;
use super::secret::{Password, SecretKey, SecretReference};
use super::value::{keyword, unknown_word};
use super::{Plugins, Presence, Reader, Shape, document, or, schema};
use crate::diagnostic::Code;
use crate::json::join;
use crate::limits::IDENTIFIER_BYTES;
use crate::name::CredentialName;

document! {
    /// A consumer.
    pub struct Consumer {
        /// What it is for, in a few words for people.
        "description" description: String = or(""),
        /// Free text by free key, for people and filters.
        "labels" labels: Labels = or(json!({})),
        /// How requests prove that they are the consumer's; any one is enough.
        "credentials" credentials: BTreeMap<CredentialName, Credential> = or(json!({})),
        /// Plugins that run for the consumer's requests.
        "plugins" plugins: Plugins = or(json!({})),
    }
}

/// One way for a request to prove whose it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Credential {
    /// A key in a header or query parameter.
    KeyAuth(KeyAuth),
    /// User name and password of RFC 7617.
    BasicAuth(BasicAuth),
    /// A signed token of RFC 7519.
    JwtAuth(JwtAuth),
    /// A request signed with a shared secret.
    HmacAuth(HmacAuth),
}

keyword! {
    /// The type of a credential.
    pub enum CredentialType {
        /// [`KeyAuth`].
        KeyAuth = "key-auth",
        /// [`BasicAuth`].
        BasicAuth = "basic-auth",
        /// [`JwtAuth`].
        JwtAuth = "jwt-auth",
        /// [`HmacAuth`].
        HmacAuth = "hmac-auth",
    }
}

document! {
    /// A key in a header or query parameter.
    pub struct KeyAuth {
        /// `key-auth`.
        "type" r#type: CredentialType = Presence::Required,
        /// The key, by reference or as its SHA-256.
        "key" key: SecretKey = Presence::Required,
    }
}

document! {
    /// User name and password.
    pub struct BasicAuth {
        /// `basic-auth`.
        "type" r#type: CredentialType = Presence::Required,
        /// The user name; without `:`.
        "username" username: Identifier = Presence::Required,
        /// The password, by reference or as a slow hash.
        "password" password: Password = Presence::Required,
    }
    check user_name(username);
}

document! {
    /// A signed token.
    pub struct JwtAuth {
        /// `jwt-auth`.
        "type" r#type: CredentialType = Presence::Required,
        /// What the token's `key` claim says.
        "key" key: Identifier = Presence::Required,
        /// How it is signed.
        "algorithm" algorithm: JwtAlgorithm = or("HS256"),
        /// For HS algorithms: the shared secret, by reference.
        "secret" secret: Option<SecretReference> = Presence::Absent,
        /// For all others: the public key, as PEM or by reference.
        "public_key" public_key: Option<PublicKey> = Presence::Absent,
    }
    check jwt_keys(algorithm);
}

document! {
    /// A request signed with a shared secret.
    pub struct HmacAuth {
        /// `hmac-auth`.
        "type" r#type: CredentialType = Presence::Required,
        /// What the signature says whose it is by.
        "key_id" key_id: Identifier = Presence::Required,
        /// The shared secret, by reference.
        "secret" secret: SecretReference = Presence::Required,
    }
}

keyword! {
    /// How a token is signed (RFC 7518).
    pub enum JwtAlgorithm {
        /// HMAC with SHA-256.
        Hs256 = "HS256",
        /// HMAC with SHA-384.
        Hs384 = "HS384",
        /// HMAC with SHA-512.
        Hs512 = "HS512",
        /// RSA with SHA-256.
        Rs256 = "RS256",
        /// RSA with SHA-512.
        Rs512 = "RS512",
        /// ECDSA on P-256.
        Es256 = "ES256",
        /// ECDSA on P-384.
        Es384 = "ES384",
        /// Ed25519.
        EdDsa = "EdDSA",
    }
}

impl JwtAlgorithm {
    /// Whether both sides need the same secret.
    #[must_use]
    pub fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }
}

/// What a consumer is known by in requests; public. 1 to 256 bytes without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier(String);

impl Identifier {
    /// The text as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Shape for Identifier {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let text = at.text(json)?;
        let fine =
            (1..=IDENTIFIER_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        if !fine {
            at.error(Code::BadValue, "1 to 256 bytes without control characters are needed here");
        }
        fine.then(|| Self(text.to_owned()))
    }

    fn schema() -> Value {
        json!({"type": "string", "minLength": 1})
    }
}

/// A public key: PEM text, or a reference for the gateway to resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(String);

impl PublicKey {
    /// The text as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Shape for PublicKey {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let text = at.text(json)?;
        public_pem(text, "PUBLIC KEY", at).then(|| Self(text.to_owned()))
    }

    fn schema() -> Value {
        schema::text(&format!("-----BEGIN PUBLIC KEY-----|{GATEWAY_PATTERN}"))
    }
}

/// The type as the JSON has it, when it is one that there is.
fn type_of(json: &Value) -> Option<CredentialType> {
    let word = json.get("type")?.as_str()?;
    TYPES.into_iter().find(|known| known.as_str() == word)
}

const TYPES: [CredentialType; 4] = [
    CredentialType::KeyAuth,
    CredentialType::BasicAuth,
    CredentialType::JwtAuth,
    CredentialType::HmacAuth,
];

impl Shape for Credential {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        match type_of(json) {
            Some(CredentialType::KeyAuth) => KeyAuth::read(json, at).map(Self::KeyAuth),
            Some(CredentialType::BasicAuth) => BasicAuth::read(json, at).map(Self::BasicAuth),
            Some(CredentialType::JwtAuth) => JwtAuth::read(json, at).map(Self::JwtAuth),
            Some(CredentialType::HmacAuth) => HmacAuth::read(json, at).map(Self::HmacAuth),
            None => {
                let known = TYPES.map(CredentialType::as_str);
                match (json.as_object(), json.get("type")) {
                    (None, _) => at.wrong_type("an object", json),
                    (_, None) => at.below("type", |at| {
                        let hint = format!("one of {}", known.join(", "));
                        at.error_with_hint(Code::MissingKey, "\"type\" is needed", hint);
                    }),
                    (_, Some(word)) => at.below("type", |at| {
                        if let Some(word) = at.text(word) {
                            unknown_word(word, &known, at);
                        }
                    }),
                }
                None
            }
        }
    }

    fn expand(json: &Value) -> Value {
        match type_of(json) {
            Some(CredentialType::KeyAuth) => KeyAuth::expand(json),
            Some(CredentialType::BasicAuth) => BasicAuth::expand(json),
            Some(CredentialType::JwtAuth) => JwtAuth::expand(json),
            Some(CredentialType::HmacAuth) => HmacAuth::expand(json),
            None => json.clone(),
        }
    }

    fn canonical(json: &Value) -> Value {
        match type_of(json) {
            Some(CredentialType::KeyAuth) => KeyAuth::canonical(json),
            Some(CredentialType::BasicAuth) => BasicAuth::canonical(json),
            Some(CredentialType::JwtAuth) => JwtAuth::canonical(json),
            Some(CredentialType::HmacAuth) => HmacAuth::canonical(json),
            None => json.clone(),
        }
    }

    fn schema() -> Value {
        let one = |kind: CredentialType| {
            let mut schema = match kind {
                CredentialType::KeyAuth => KeyAuth::schema(),
                CredentialType::BasicAuth => BasicAuth::schema(),
                CredentialType::JwtAuth => JwtAuth::schema(),
                CredentialType::HmacAuth => HmacAuth::schema(),
            };
            let meaning = schema["description"].clone();
            let kind = json!({"description": meaning, "type": "string", "const": kind.as_str()});
            schema["properties"]["type"] = kind;
            schema
        };
        json!({"anyOf": TYPES.map(one)})
    }
}

impl Consumer {
    /// What each credential says whose request it is: by pointer, kind and text. Two consumers with
    /// the same could not be told apart.
    pub(crate) fn identities(&self) -> Vec<(String, &'static str, String)> {
        let each = self.credentials.iter().map(|(name, credential)| {
            let (key, kind, text) = match credential {
                Credential::KeyAuth(own) => ("key", "key of key-auth", own.key.written()),
                Credential::BasicAuth(own) => {
                    ("username", "user name of basic-auth", own.username.0.clone())
                }
                Credential::JwtAuth(own) => ("key", "key of jwt-auth", own.key.0.clone()),
                Credential::HmacAuth(own) => {
                    ("key_id", "key id of hmac-auth", own.key_id.0.clone())
                }
            };
            (join(&join("/credentials", name.as_str()), key), kind, text)
        });
        each.collect()
    }
}

fn user_name(_: &Map<String, Value>, name: &Identifier, at: &mut Reader<'_>) {
    if name.as_str().contains(':') {
        at.below("username", |at| {
            at.error(Code::BadValue, "a user name has no ':' (RFC 7617)");
        });
    }
}

/// A token is checked with the key that its algorithm takes, and has no other.
fn jwt_keys(object: &Map<String, Value>, algorithm: &JwtAlgorithm, at: &mut Reader<'_>) {
    let (needed, other) =
        if algorithm.is_symmetric() { ("secret", "public_key") } else { ("public_key", "secret") };
    let algorithm = algorithm.as_str();
    if !object.contains_key(needed) {
        at.below(needed, |at| {
            at.error(Code::MissingKey, format!("{algorithm} needs {needed:?}"));
        });
    }
    if object.contains_key(other) {
        at.below(other, |at| {
            at.error(Code::BadValue, format!("{algorithm} uses no {other:?}"));
        });
    }
}

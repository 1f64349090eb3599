//! Random consumers, certificates and global rules.

use proptest::collection::btree_map;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{labels, object, one_of, some_of, text, with};

/// The frame of a certificate, which is all that documents are asked for.
pub(super) const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

pub(super) fn consumer() -> BoxedStrategy<Value> {
    let credentials = btree_map("[a-z]{1,3}", credential(), 0..3)
        .prop_map(|all| Value::Object(all.into_iter().collect()))
        .boxed();
    object(vec![
        ("plugins", nothing()),
        ("credentials", credentials),
        ("labels", labels()),
        ("description", text()),
    ])
}

pub(super) fn certificate() -> BoxedStrategy<Value> {
    let rest = object(vec![("labels", labels()), ("description", text())]);
    let chain = one_of(&[PEM, "$file:///etc/tls/chain.pem", "$env://CHAIN"]);
    let snis = some_of(&["a.com", "B.com", "*.c.Com"], 1);
    with("snis", snis, with("certificate", chain, with("private_key", reference(), rest)))
}

pub(super) fn global_rule() -> BoxedStrategy<Value> {
    object(vec![("plugins", nothing()), ("labels", labels()), ("description", text())])
}

fn credential() -> BoxedStrategy<Value> {
    let hash = "sha256:[0-9a-fA-F]{64}".prop_map(Value::from);
    let key = prop_oneof![reference(), hash].boxed();
    let bcrypt = "\\$2[aby]\\$12\\$[a-zA-Z0-9./]{53}".prop_map(Value::from);
    let argon2 =
        "\\$argon2id\\$v=19\\$m=[1-9]{1,5},t=2,p=1\\$[a-zA-Z0-9+/]{22}\\$[a-zA-Z0-9+/]{43}"
            .prop_map(Value::from);
    let password = prop_oneof![reference(), bcrypt, argon2].boxed();
    let keyed = || with("key", identifier(), nothing());
    let algorithm = |known| object(vec![("algorithm", one_of(known))]);
    let shared = (algorithm(&["HS256", "HS384", "HS512"]), with("secret", reference(), keyed()));
    let public = with("public_key", reference(), keyed());
    let public = (one_of(&["RS256", "RS512", "ES256", "ES384", "EdDSA"]), public)
        .prop_map(|(algorithm, document)| joined(json!({"algorithm": algorithm}), &document));
    prop_oneof![
        typed("key-auth", with("key", key, nothing())),
        typed("basic-auth", with("password", password, with("username", user(), nothing()))),
        typed("jwt-auth", shared.prop_map(|(one, other)| joined(one, &other)).boxed()),
        typed("jwt-auth", public.boxed()),
        typed("hmac-auth", with("secret", reference(), with("key_id", identifier(), nothing()))),
    ]
    .boxed()
}

fn typed(kind: &'static str, rest: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    with("type", Just(Value::from(kind)).boxed(), rest)
}

fn joined(mut one: Value, other: &Value) -> Value {
    for (key, value) in other.as_object().into_iter().flatten() {
        one[key] = value.clone();
    }
    one
}

fn nothing() -> BoxedStrategy<Value> {
    Just(json!({})).boxed()
}

fn identifier() -> BoxedStrategy<Value> {
    "[ -~é]{1,12}".prop_map(Value::from).boxed()
}

/// A user name has no colon.
fn user() -> BoxedStrategy<Value> {
    "[ -9;-~é]{1,12}".prop_map(Value::from).boxed()
}

fn reference() -> BoxedStrategy<Value> {
    one_of(&["$env://SECRET", "$file:///run/secrets/a"])
}

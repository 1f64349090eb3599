//! `group.json`: what a gateway group says about itself.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::reference::VARIABLE;
use super::value::keyword;
use super::{Reader, Shape, document, or};
use crate::diagnostic::Code;
use crate::limits;
use crate::name::GroupName;

/// Free text by free key.
pub type Labels = BTreeMap<String, String>;

document! {
    /// A gateway group.
    pub struct Group {
        /// What it is for, in a few words for people.
        "description" description: String = or(""),
        /// Who writes the group's configuration.
        "type" r#type: GroupType = or("gateway"),
        /// Free text by free key, for people and filters.
        "labels" labels: Labels = or(json!({})),
        /// What `$var://name` stands for in this group.
        "variables" variables: BTreeMap<VariableName, String> = or(json!({})),
        /// What may come here, and how.
        "promotion" promotion: Promotion = or(json!({})),
        /// How its gateways treat HTTP.
        "http" http: HttpSettings = or(json!({})),
    }
    check variables_are_values;
}

/// What a variable stands for is taken as it is.
fn variables_are_values(object: &Map<String, Value>, at: &mut Reader<'_>) {
    let variables = object.get("variables").and_then(Value::as_object);
    for (name, value) in variables.into_iter().flatten() {
        let refers = value.as_str().is_some_and(|value| value.starts_with(VARIABLE));
        if !refers {
            continue;
        }
        at.below("variables", |at| {
            at.below(name, |at| {
                at.error_with_hint(
                    Code::BadValue,
                    "a variable does not stand for another one: its value is taken as it is",
                    "write the value itself; it may be a \"$env://NAME\" or \"$file:///path\"",
                );
            });
        });
    }
}

keyword! {
    /// Who writes a group's configuration.
    pub enum GroupType {
        /// People and programs, through any door.
        Gateway = "gateway",
        /// A Kubernetes controller; the API and the dashboard only read it.
        Ingress = "ingress",
    }
}

document! {
    /// Rules for what is brought to a group.
    pub struct Promotion {
        /// A version may come here only if it has run in one of these groups; empty: any group.
        "from" from: Vec<GroupName> = or(json!([])),
        /// Whether `services/` may change by hand.
        "direct_edits" direct_edits: DirectEdits = or("allow"),
    }
}

keyword! {
    /// Whether the versioned part of a group may change other than by sync and rollback.
    pub enum DirectEdits {
        /// Anything may be edited here.
        Allow = "allow",
        /// Only what the group owns may be edited here.
        RuntimeOnly = "runtime-only",
    }
}

document! {
    /// How a group's gateways treat HTTP.
    pub struct HttpSettings {
        /// Peers whose `X-Forwarded-For` is believed.
        "trusted_proxies" trusted_proxies: Vec<ipnet::IpNet> = or(json!([])),
        /// What an encoded slash in a path means.
        "encoded_slashes" encoded_slashes: EncodedSlashes = or("reject"),
    }
}

keyword! {
    /// What `%2F` in a path means.
    pub enum EncodedSlashes {
        /// The request is answered with 400.
        Reject = "reject",
        /// It stays encoded and separates nothing.
        Keep = "keep",
    }
}

/// The name of a variable: a letter or `_`, then letters, digits, `_`, `-` and `.`; at most 64.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VariableName(String);

impl std::str::FromStr for VariableName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let begins = bytes.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
        let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
        if begins && bytes.len() <= limits::VARIABLE_NAME_BYTES && bytes.iter().all(goes_on) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "{text:?} is not a variable name: a letter or '_', then letters, digits, '_', '-' or '.', at most 64"
            ))
        }
    }
}

impl super::schema::Key for VariableName {
    fn pattern() -> Option<&'static str> {
        Some("^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")
    }
}

impl std::borrow::Borrow<str> for VariableName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl VariableName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Group {
    /// A group with every default.
    #[must_use]
    pub fn empty() -> Self {
        let mut findings = Vec::new();
        Self::read(&Value::Object(Map::new()), &mut Reader::new("group.json", &mut findings))
            .expect("every key of a group has a default")
    }

    /// Reports what the document cannot say without the name of its group.
    pub(crate) fn check(json: &Value, name: &GroupName, at: &mut Reader<'_>) {
        let from = json.pointer("/promotion/from").and_then(Value::as_array);
        if from.into_iter().flatten().any(|group| group == name.as_str()) {
            at.below("promotion", |at| {
                at.below("from", |at| {
                    let message = format!("group {name} cannot be fed from itself");
                    at.error_with_hint(Code::BadValue, message, "name the groups before it");
                });
            });
        }
    }
}
/// Whether a group is production, by its label `env` or by its very name: people are asked before they
/// change such a group.
#[must_use]
pub fn is_production(name: &str, env: Option<&str>) -> bool {
    env == Some("production") || name == "production"
}

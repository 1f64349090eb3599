//! The documents of a group: how a file's JSON becomes a typed value, with all findings at once.
//!
//! Each document is declared once, with the `document!` macro: its keys in schema order, their types
//! and their defaults. From that one declaration come strict reading ([`Shape::read`]), the form
//! with every default filled in ([`Shape::expand`]), the canonical form without defaults
//! ([`Shape::canonical`]) and the JSON Schema for editors ([`Shape::schema`]). References between
//! documents are checked by [`crate::validate`].
//!
//! Next: [`group`], [`service`], [`route`], [`runtime`], [`checks`], [`consumer`], [`certificate`],
//! [`global_rule`]; the types of single values in [`value`]; the schemas in [`schema`].

pub mod certificate;
pub mod checks;
pub mod consumer;
pub mod global_rule;
pub mod group;
pub mod reader;
pub mod reference;
pub mod retry_on;
pub mod route;
pub mod runtime;
pub mod schema;
pub mod secret;
pub mod service;
pub mod value;

use serde_json::{Map, Value};

pub use certificate::{Certificate, Sni};
pub use checks::{ActiveChecks, CheckType, Checks, PassiveChecks};
pub use consumer::{Consumer, Credential};
pub use global_rule::GlobalRule;
pub use group::{DirectEdits, EncodedSlashes, Group, GroupType, HttpSettings, Promotion};
pub use reader::Reader;
pub use retry_on::RetryOn;
pub use route::{Match, Predicate, Route, RouteTimeout, Test};
pub use runtime::{
    Authorities, Balancer, BalancerType, HashOn, Keepalive, Node, PassHost, Runtime, Scheme,
    Timeout, Upstream, UpstreamTls,
};
pub use service::{Service, ServiceType};
pub use value::{Method, Plugins, Regex, Seconds};

use crate::diagnostic::{Code, Diagnostic};
use crate::json;

/// A type that a place in a document can have.
pub trait Shape: Sized {
    /// The typed value, or nothing after at least one finding was reported.
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self>;

    /// What a key means that is absent, of a type that can be: a key that is there has a value.
    #[must_use]
    fn absent() -> Option<Self> {
        None
    }

    /// Reports what the entries of a list are together; those that could not be read are nothing.
    fn check_list(_entries: &[Option<Self>], _at: &mut Reader<'_>) {}

    /// The same JSON with every default filled in and keys in schema order.
    #[must_use]
    fn expand(json: &Value) -> Value {
        json.clone()
    }

    /// The same JSON as it stands in a file: no defaults, keys in schema order.
    #[must_use]
    fn canonical(json: &Value) -> Value {
        json.clone()
    }

    /// What JSON Schema can say of it; refuses nothing that [`Shape::read`] takes.
    #[must_use]
    fn schema() -> Value;
}

/// What a document holds where a key is absent.
#[derive(Debug, Clone)]
pub enum Presence {
    /// The key must be there.
    Required,
    /// Nothing; the key's type is an [`Option`].
    Absent,
    /// This value.
    Default(Value),
}

impl Presence {
    fn default_value(&self) -> Option<&Value> {
        match self {
            Self::Default(value) => Some(value),
            Self::Required | Self::Absent => None,
        }
    }
}

/// Shorthand for [`Presence::Default`].
pub(crate) fn or(value: impl Into<Value>) -> Presence {
    Presence::Default(value.into())
}

/// Declares a document or a part of one: keys in schema order, with type and presence.
///
/// What several keys say together is said by checks behind them, each a function of the JSON object
/// and of the fields that it names: `check host_told(pass_host, upstream_host);`. One of which a field
/// could not be read is not asked, so that nothing follows from a value that is wrong itself; all
/// others are, whatever is wrong elsewhere.
macro_rules! document {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident {
            $($(#[doc = $field_doc:literal])* $key:literal $field:ident: $type:ty = $presence:expr),+ $(,)?
        }
        $(check_list $check_list:ident;)?
        $(check $check:ident $(($($part:ident),+))?;)*
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[doc = $field_doc])* pub $field: $type),+
        }

        impl $crate::document::Shape for $name {
            fn read(
                json: &serde_json::Value,
                at: &mut $crate::document::Reader<'_>,
            ) -> Option<Self> {
                let object = at.object(json, &[$($key),+])?;
                $(let $field = at.field::<$type>(object, $key, &$presence);)+
                $($crate::document::ask!($check, object, at $(, $($part),+)?);)*
                Some(Self { $($field: $field?),+ })
            }

            $(fn check_list(entries: &[Option<Self>], at: &mut $crate::document::Reader<'_>) {
                $check_list(entries, at);
            })?

            fn expand(json: &serde_json::Value) -> serde_json::Value {
                $crate::document::rebuild(json, &[$($key),+], |key, child| match key {
                    $($key => $crate::document::expand_field::<$type>(child, &$presence),)+
                    _ => child.cloned(),
                })
            }

            fn canonical(json: &serde_json::Value) -> serde_json::Value {
                $crate::document::rebuild(json, &[$($key),+], |key, child| match key {
                    $($key => $crate::document::canonical_field::<$type>(child, &$presence),)+
                    _ => child.cloned(),
                })
            }

            fn schema() -> serde_json::Value {
                let keys = vec![$((
                    $key,
                    $crate::document::schema::prose(&[$($field_doc),*]),
                    <$type as $crate::document::Shape>::schema(),
                    $presence,
                )),+];
                $crate::document::schema::object(
                    $crate::document::schema::prose(&[$($doc),*]),
                    keys,
                )
            }
        }
    };
}
pub(crate) use document;

/// Asks a check of a document, as far as its fields are there.
macro_rules! ask {
    ($check:ident, $object:ident, $at:ident) => {
        $check($object, $at)
    };
    ($check:ident, $object:ident, $at:ident, $($part:ident),+) => {
        if let ($(Some($part),)+) = ($($part.as_ref(),)+) {
            $check($object, $($part,)+ $at);
        }
    };
}
pub(crate) use ask;

/// An object with its keys in schema order, each made by `make`; unknown keys follow unchanged.
pub(crate) fn rebuild(
    json: &Value,
    keys: &[&str],
    make: impl Fn(&str, Option<&Value>) -> Option<Value>,
) -> Value {
    let Value::Object(object) = json else { return json.clone() };
    let unknown = object.keys().map(String::as_str).filter(|key| !keys.contains(key));
    let made = keys
        .iter()
        .copied()
        .chain(unknown)
        .filter_map(|key| make(key, object.get(key)).map(|value| (key.to_owned(), value)));
    Value::Object(made.collect::<Map<_, _>>())
}

pub(crate) fn expand_field<T: Shape>(child: Option<&Value>, presence: &Presence) -> Option<Value> {
    child.or(presence.default_value()).map(T::expand)
}

pub(crate) fn canonical_field<T: Shape>(
    child: Option<&Value>,
    presence: &Presence,
) -> Option<Value> {
    let value = T::canonical(child?);
    (presence.default_value().map(T::canonical).as_ref() != Some(&value)).then_some(value)
}

/// The bytes of a document's file, read as JSON; defects of the text become findings.
///
/// The value is there whenever the text is JSON, so that the findings about its meaning can follow
/// those about its text.
pub fn parse_file(file: &str, bytes: &[u8], findings: &mut Vec<Diagnostic>) -> Option<Value> {
    if bytes.len() > json::MAX_FILE_BYTES {
        let message = format!("the file has {} bytes; 1 MiB is the limit", bytes.len());
        findings.push(Diagnostic::error(file, "", Code::TooLarge, message));
        return None;
    }
    match json::parse(bytes) {
        Ok(parsed) => {
            findings.extend(parsed.duplicates.into_iter().map(|pointer| {
                Diagnostic::error(file, pointer, Code::DuplicateKey, "the key stands here twice")
                    .with_hint("keep one of them")
            }));
            Some(parsed.value)
        }
        Err(error) => {
            findings.push(Diagnostic::error(file, "", Code::MalformedJson, error.to_string()));
            None
        }
    }
}

/// The canonical bytes of a document of type `T`.
#[must_use]
pub fn canonical_bytes<T: Shape>(json: &Value) -> Vec<u8> {
    json::to_text(&T::canonical(json)).into_bytes()
}

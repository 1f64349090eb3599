//! Names and ids: one newtype each, parsed once, so that no bare string crosses a function.
//!
//! A value of these types is always well formed; everything that comes from outside goes through
//! [`FromStr`]. Numbers of versions live in [`crate::version`].

use std::fmt;
use std::str::FromStr;

use crate::limits;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {kind} name: {rule}")]
pub struct NameError {
    /// What the name was meant to name, for people: `group`, `service`, …
    pub kind: &'static str,
    /// The text as it came.
    pub text: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

const LABEL_RULE: &str =
    "1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or a digit";

/// `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`, the label of RFC 1123 in lower case.
fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.len() <= limits::NAME_BYTES
        && bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
}

/// `^[A-Za-z0-9_-]{1,256}$`: consumers carry the names that other systems gave them.
fn is_consumer(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=limits::CONSUMER_NAME_BYTES).contains(&text.len()) && text.bytes().all(plain)
}

const CONSUMER_RULE: &str = "1 to 256 of A-Z, a-z, 0-9, '_' and '-'";

macro_rules! label_name {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        name_type!($(#[$doc])* $name, $kind, is_label, LABEL_RULE);
    };
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:ident, $rule:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if $check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError { kind: $kind, text: text.to_owned(), rule: $rule })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                let text = String::deserialize(input)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

label_name!(
    /// A gateway group; also its branch, `refs/heads/<group>`.
    GroupName, "group"
);
label_name!(
    /// A service; the folder `services/<service>` and the prefix of its version tags.
    ServiceName, "service"
);
label_name!(
    /// A route within a service.
    RouteName, "route"
);
label_name!(
    /// An upstream within the runtime of a service.
    UpstreamName, "upstream"
);
name_type!(
    /// A consumer: somebody who calls the services of a group.
    ConsumerName, "consumer", is_consumer, CONSUMER_RULE
);
label_name!(
    /// A credential of a consumer.
    CredentialName, "credential"
);
label_name!(
    /// A certificate of a group.
    CertificateName, "certificate"
);
label_name!(
    /// A global rule of a group.
    RuleName, "global rule"
);

impl GroupName {
    /// The full name of the group's branch.
    #[must_use]
    pub fn branch(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

macro_rules! object_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) git2::Oid);

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, out)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let full = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                full.then(|| git2::Oid::from_str(text).ok())
                    .flatten()
                    .map(Self)
                    .ok_or_else(|| IdError(text.to_owned()))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                let text = String::deserialize(input)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// A text that is not a full object id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an object id: 40 hexadecimal digits are needed")]
pub struct IdError(pub String);

object_id!(
    /// The id of a commit of a group branch.
    CommitId
);
object_id!(
    /// The id of the tree `services/<service>`: the identity of a service's content.
    ContentId
);
object_id!(
    /// The id of an object of any kind, as a push names it.
    ObjectId
);

/// Position of a commit in the first-parent history of its group; the first commit is 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        let longest = "a".repeat(63);
        let too_long = "a".repeat(64);
        let table: &[(&str, bool)] = &[
            ("a", true),
            ("test", true),
            ("0", true),
            ("a-b", true),
            ("a--b", true),
            (&longest, true),
            (&too_long, false),
            ("", false),
            ("-a", false),
            ("a-", false),
            ("A", false),
            ("a_b", false),
            ("a.b", false),
            ("a/b", false),
            ("..", false),
            ("é", false),
            ("a\n", false),
        ];
        for (text, valid) in table {
            assert_eq!(text.parse::<GroupName>().is_ok(), *valid, "{text:?}");
        }
    }

    #[test]
    fn names_of_consumers() {
        let longest = "a".repeat(256);
        let too_long = "a".repeat(257);
        let table: &[(&str, bool)] = &[
            ("a", true),
            ("Mobile_App-2", true),
            ("-", true),
            (&longest, true),
            (&too_long, false),
            ("", false),
            ("a.b", false),
            ("a/b", false),
            ("..", false),
            ("a b", false),
            ("\u{e9}", false),
        ];
        for (text, valid) in table {
            assert_eq!(text.parse::<ConsumerName>().is_ok(), *valid, "{text:?}");
        }
    }

    #[test]
    fn ids_are_full_and_hexadecimal() {
        let full = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(full.parse::<CommitId>().map(|id| id.to_string()), Ok(full.to_owned()));
        for text in ["", "0123", "HEAD", &full[1..], "0123456789abcdef0123456789abcdef0123456g"] {
            assert!(text.parse::<CommitId>().is_err(), "{text:?}");
        }
    }
}

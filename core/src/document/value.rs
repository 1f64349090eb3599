//! Single values of documents: numbers with a range, words, times, regular expressions.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Number, Value, json};

use super::reader::repeated;
use super::{Reader, Shape, schema};
use crate::diagnostic::{Code, did_you_mean};
use crate::limits;
use crate::name::{GroupName, UpstreamName};

impl Shape for bool {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let value = json.as_bool();
        if value.is_none() {
            at.wrong_type("true or false", json);
        }
        value
    }

    fn schema() -> Value {
        json!({"type": "boolean"})
    }
}

impl Shape for String {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        at.text(json).map(str::to_owned)
    }

    fn schema() -> Value {
        json!({"type": "string"})
    }
}

/// The whole number that a number is, however it is written.
pub(super) fn whole(number: &Number) -> Option<i64> {
    let exact = |number: &f64| number.fract() == 0.0 && number.abs() < 1e15;
    number.as_i64().or_else(|| {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and in range")]
        number.as_f64().filter(exact).map(|number| number as i64)
    })
}

/// 80.0 and 80 are the same number: without a fraction is canonical.
pub(super) fn without_fraction(json: &Value) -> Value {
    json.as_number().and_then(whole).map_or_else(|| json.clone(), Value::from)
}

/// The forms of numbers, for their [`Shape`].
macro_rules! written_whole {
    () => {
        fn expand(json: &serde_json::Value) -> serde_json::Value {
            $crate::document::value::without_fraction(json)
        }

        fn canonical(json: &serde_json::Value) -> serde_json::Value {
            $crate::document::value::without_fraction(json)
        }
    };
}
pub(super) use written_whole;

/// Free JSON, for parts whose meaning another layer checks.
impl Shape for Value {
    fn read(json: &Value, _at: &mut Reader<'_>) -> Option<Self> {
        Some(json.clone())
    }

    fn schema() -> Value {
        json!({})
    }
}

impl Shape for i32 {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let value = at.integer(json, i64::from(Self::MIN), i64::from(Self::MAX))?;
        Self::try_from(value).ok()
    }

    fn schema() -> Value {
        json!({"type": "integer", "minimum": Self::MIN, "maximum": Self::MAX})
    }

    written_whole!();
}

/// Sizes, weights and counts: up to 2^31 - 1.
impl Shape for u32 {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let value = at.integer(json, 0, i64::from(limits::COUNT))?;
        Self::try_from(value).ok()
    }

    fn schema() -> Value {
        json!({"type": "integer", "minimum": 0, "maximum": limits::COUNT})
    }

    written_whole!();
}

/// A port: 1 to 65535.
impl Shape for u16 {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let value = at.integer(json, 1, i64::from(Self::MAX))?;
        Self::try_from(value).ok()
    }

    fn schema() -> Value {
        json!({"type": "integer", "minimum": 1, "maximum": Self::MAX})
    }

    written_whole!();
}

macro_rules! shape_by_parsing {
    ($($type:ty: $code:expr, $pattern:expr);+ $(;)?) => {
        $(impl Shape for $type {
            fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
                at.parsed(json, $code)
            }

            fn schema() -> Value {
                schema::text($pattern)
            }
        })+
    };
}

shape_by_parsing! {
    GroupName: Code::BadName, schema::LABEL;
    UpstreamName: Code::BadName, schema::LABEL;
}

/// A path pattern, plain or, after `~`, a regular expression.
impl Shape for crate::pattern::PathPattern {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let is_regex = json.as_str().is_some_and(|text| text.starts_with('~'));
        let path: Self = at.parsed(json, if is_regex { Code::BadRegex } else { Code::BadPath })?;
        (is_regex || at.takes_path(path.as_str())).then_some(path)
    }

    fn check_list(entries: &[Option<Self>], at: &mut Reader<'_>) {
        if entries.is_empty() {
            at.error_with_hint(Code::BadValue, "a route needs a path", "for all paths: [\"/*\"]");
        }
        let texts = entries.iter().map(|entry| entry.as_ref().map(|path| path.as_str().into()));
        repeated(texts, at);
    }

    fn schema() -> Value {
        schema::text(r"^(~[\s\S]*|/[!-~]*)$")
    }
}

/// A CIDR block; a bare address is a block of one.
impl Shape for ipnet::IpNet {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let text = at.text(json)?;
        let block = text
            .parse::<Self>()
            .ok()
            .or_else(|| text.parse::<std::net::IpAddr>().ok().map(Self::from));
        if block.is_none() {
            let message = format!("{text:?} is not an IP address or CIDR block");
            at.error_with_hint(Code::BadCidr, message, "write 10.0.0.0/8 or 2001:db8::/32");
        }
        block.map(|block| block.trunc())
    }

    fn schema() -> Value {
        schema::text("^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$")
    }
}

/// Declares a word that a key takes, out of a closed list; and words that mean what is not there yet.
macro_rules! keyword {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident {
            $($(#[doc = $word_doc:literal])* $variant:ident = $word:literal),+ $(,)?
        }
        $(not_served $later:literal: $($later_word:literal),+;)?
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[doc = $word_doc])* $variant),+
        }

        impl $name {
            /// The word as documents write it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl $crate::document::Shape for $name {
            fn read(
                json: &serde_json::Value,
                at: &mut $crate::document::Reader<'_>,
            ) -> Option<Self> {
                const KNOWN: &[&str] = &[$($word),+];
                match at.text(json)? {
                    $($word => Some(Self::$variant),)+
                    $($($later_word)|+ => {
                        $crate::document::value::not_served($later, KNOWN, at);
                        None
                    })?
                    other => {
                        $crate::document::value::unknown_word(other, KNOWN, at);
                        None
                    }
                }
            }

            fn check_list(entries: &[Option<Self>], at: &mut $crate::document::Reader<'_>) {
                let words = entries.iter().map(|entry| entry.map(|word| word.as_str().into()));
                $crate::document::reader::repeated(words, at);
            }

            fn schema() -> serde_json::Value {
                use $crate::document::schema::{prose, words};
                words(&[$(($word, prose(&[$($word_doc),*]))),+])
            }
        }
    };
}
pub(crate) use keyword;

/// Reports a word that means what this version does not serve.
pub(crate) fn not_served(what: &str, known: &[&str], at: &mut Reader<'_>) {
    let message = format!("{what} are not served by this version");
    at.error_with_hint(Code::BadValue, message, format!("it serves {}", known.join(", ")));
}

/// Reports a word that is not in the list.
pub(crate) fn unknown_word(word: &str, known: &[&str], at: &mut Reader<'_>) {
    let hint = did_you_mean(word, known.iter().copied())
        .unwrap_or_else(|| format!("one of {}", known.join(", ")));
    at.error_with_hint(Code::BadValue, format!("{word:?} is not known here"), hint);
}

keyword! {
    /// A method that a route can name.
    pub enum Method {
        /// Does not imply HEAD.
        Get = "GET",
        /// HEAD.
        Head = "HEAD",
        /// POST.
        Post = "POST",
        /// PUT.
        Put = "PUT",
        /// DELETE.
        Delete = "DELETE",
        /// PATCH.
        Patch = "PATCH",
        /// OPTIONS.
        Options = "OPTIONS",
        /// TRACE.
        Trace = "TRACE",
        /// Of HTTP caches.
        Purge = "PURGE",
    }
}

/// A span of time in seconds, greater than 0, at most a year.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Seconds(f64);

impl Seconds {
    const YEAR: f64 = limits::SECONDS as f64;

    /// The span for the clock.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs_f64(self.0)
    }
}

impl Shape for Seconds {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let Some(seconds) = json.as_f64() else {
            at.wrong_type("a number of seconds", json);
            return None;
        };
        if seconds.is_finite() && (1e-6..=Self::YEAR).contains(&seconds) {
            return Some(Self(seconds));
        }
        let message = format!("{json} is not a time in seconds greater than 0, at most a year");
        at.error(Code::BadValue, message);
        None
    }

    fn schema() -> Value {
        json!({"type": "number", "exclusiveMinimum": 0, "maximum": limits::SECONDS})
    }

    written_whole!();
}

/// A span of time in seconds where 0 means none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SecondsOrNone(pub Option<Seconds>);

impl Shape for SecondsOrNone {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        if json.as_f64() == Some(0.0) {
            return Some(Self(None));
        }
        Seconds::read(json, at).map(|seconds| Self(Some(seconds)))
    }

    fn schema() -> Value {
        json!({"type": "number", "minimum": 0, "maximum": limits::SECONDS})
    }

    written_whole!();
}

/// A regular expression in linear time that matches a whole value.
#[derive(Clone)]
pub struct Regex {
    source: String,
    compiled: regex::Regex,
}

impl Regex {
    /// Largest compiled form, in bytes.
    const SIZE_LIMIT: usize = limits::REGEX_BYTES;

    /// Compiles `source`, anchored at both ends.
    ///
    /// # Errors
    /// When it is not a regular expression or compiles to more than 256 KiB.
    pub fn new(source: &str) -> Result<Self, RegexError> {
        // Compiled alone first: a source such as `a)|(b` must not escape the anchoring group.
        let compile = |text: &str| {
            regex::RegexBuilder::new(text)
                .size_limit(Self::SIZE_LIMIT)
                .build()
                .map_err(|error| RegexError { reason: last_line(&error.to_string()) })
        };
        compile(source)?;
        let compiled = compile(&format!(r"\A(?:{source})\z"))?;
        Ok(Self { source: source.to_owned(), compiled })
    }

    /// The expression as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.compiled.is_match(text)
    }
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or(text).trim_start_matches("error: ").to_owned()
}

/// Why a text is not a usable regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a usable regular expression: {reason}")]
pub struct RegexError {
    reason: String,
}

impl fmt::Debug for Regex {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, out)
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Regex {}

impl Shape for Regex {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let text = at.text(json)?;
        match Self::new(text) {
            Ok(regex) => Some(regex),
            Err(error) => {
                at.error(Code::BadRegex, error.to_string());
                None
            }
        }
    }

    /// Without `format: regex`, which means the expressions of JavaScript.
    fn schema() -> Value {
        json!({"type": "string"})
    }
}

/// The plugins of a service or route: built-in plugins by name, with their settings.
///
/// This version has no built-in plugins, so that every name is [`Code::UnknownPlugin`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plugins(BTreeMap<String, Value>);

impl Shape for Plugins {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let Some(object) = json.as_object() else {
            at.wrong_type("an object", json);
            return None;
        };
        for name in object.keys() {
            at.below(name, |at| {
                let message = format!("there is no built-in plugin {name:?}");
                at.error_with_hint(Code::UnknownPlugin, message, "this version has no plugins");
            });
        }
        object.is_empty().then(Self::default)
    }

    fn schema() -> Value {
        json!({"type": "object", "additionalProperties": false})
    }
}

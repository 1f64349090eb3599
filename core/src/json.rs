//! Strict JSON: every defect of the text is found, duplicate keys included.
//!
//! Gives plain [`serde_json::Value`]s in the order of the text; what the keys mean is the business
//! of [`crate::document`]. Next: [`position`], from a pointer back to line and column.

pub mod position;

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use position::Position;

/// Largest file of a configuration tree, in bytes.
pub const MAX_FILE_BYTES: usize = crate::limits::FILE_BYTES;

/// Deepest nesting of lists and objects that is read.
pub(crate) const MAX_DEPTH: usize = crate::limits::DEPTH;

/// What a JSON text holds, and the keys that stand in it twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The value; of a repeated key the last one.
    pub value: Value,
    /// RFC 6901 pointers of the repeated keys, in order of appearance.
    pub duplicates: Vec<String>,
}

/// A text that is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not valid JSON at line {}, column {}: {reason}", at.line, at.column)]
pub struct JsonError {
    /// Where the reading stopped.
    pub at: Position,
    /// What is wrong.
    pub reason: String,
}

/// Parses a whole text.
///
/// # Errors
/// When the bytes are not one JSON value in UTF-8, or nest deeper than 127 levels.
pub fn parse(bytes: &[u8]) -> Result<Parsed, JsonError> {
    let duplicates = RefCell::new(Vec::new());
    let mut input = serde_json::Deserializer::from_slice(bytes);
    let seed = Strict { pointer: String::new(), duplicates: &duplicates };
    let value = seed.deserialize(&mut input).and_then(|value| input.end().map(|()| value));
    match value {
        Ok(value) => Ok(Parsed { value, duplicates: duplicates.into_inner() }),
        Err(error) => {
            let text = error.to_string();
            let reason = text.split(" at line ").next().unwrap_or(&text).to_owned();
            Err(JsonError { at: stop(bytes, error.line(), error.column()), reason })
        }
    }
}

/// Where the parser stopped, which counts columns in bytes and from 0 at the beginning of a line.
fn stop(bytes: &[u8], line: usize, column: usize) -> Position {
    let newlines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let begin = match line.checked_sub(2) {
        Some(before) => newlines.map(|(at, _)| at + 1).nth(before).unwrap_or(bytes.len()),
        None => 0,
    };
    Position::of_byte(bytes, begin + column.saturating_sub(1))
}

/// Canonical text: 2-space indent, keys in the order given, one trailing newline.
#[must_use]
pub fn to_text(value: &Value) -> String {
    let mut text = format!("{value:#}");
    text.push('\n');
    text
}

/// Appends one reference token to an RFC 6901 pointer.
#[must_use]
pub fn join(pointer: &str, token: &str) -> String {
    format!("{pointer}/{}", token.replace('~', "~0").replace('/', "~1"))
}

/// Applies a merge patch (RFC 7396) to `target`.
pub fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (key, change) in patch {
        if change.is_null() {
            fields.shift_remove(key);
        } else {
            merge_patch(fields.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

struct Strict<'a> {
    pointer: String,
    duplicates: &'a RefCell<Vec<String>>,
}

impl Strict<'_> {
    fn child(&self, token: &str) -> Self {
        Self { pointer: join(&self.pointer, token), duplicates: self.duplicates }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.child(&list.len().to_string()))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let child = self.child(&key);
            let pointer = child.pointer.clone();
            let value = entries.next_value_seed(child)?;
            if map.insert(key, value).is_some() {
                self.duplicates.borrow_mut().push(pointer);
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn duplicates_are_told_by_pointer() {
        let parsed = parse(br#"{"a": 1, "b": [{"c/d": 1, "c/d": 2}], "a": 3}"#).expect("JSON");
        assert_eq!(parsed.value, json!({"a": 3, "b": [{"c/d": 2}]}));
        assert_eq!(parsed.duplicates, ["/b/0/c~1d", "/a"]);
    }

    #[test]
    fn defects_of_the_text_are_errors_with_a_place() {
        for text in ["", "{", "[1,]", "{\"a\":1}x", "nul", "\"\u{1}\"", "{a:1}", &"[".repeat(300)] {
            let error = parse(text.as_bytes()).expect_err(text);
            assert!(error.at.line >= 1 && error.at.column >= 1, "{text}: {error}");
        }
        assert!(parse(b"\"\xff\"").is_err());
        let table = [
            ("{\n  \"a\": x\n}", (2, 8)),
            ("{\n  \"ä\": x\n}", (2, 8)),
            ("{\n  \"a\": 1\n", (3, 1)),
            ("{\n  \"a\": 1,\n}\n", (3, 1)),
            ("\n\nnul", (3, 3)),
            ("", (1, 1)),
        ];
        for (text, place) in table {
            let at = parse(text.as_bytes()).expect_err(text).at;
            assert_eq!((at.line, at.column), place, "{text}");
        }
    }

    /// The examples of RFC 7396, appendix A.
    #[test]
    fn merge_patches() {
        let table = [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ];
        for (mut target, patch, result) in table {
            merge_patch(&mut target, &patch);
            assert_eq!(target, result, "{patch}");
        }
    }
}

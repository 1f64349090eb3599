//! Values between fields and documents: read from text, written at pointers, patched and rebased.

use serde_json::{Map, Value};

pub(super) fn number(text: &str) -> Value {
    let whole = text.parse::<i64>().map(Value::from);
    whole.or_else(|_| text.parse::<f64>().map(Value::from)).unwrap_or_else(|_| text.into())
}

pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// An object of texts, `key=value` a line.
///
/// # Errors
/// The first line that is none.
pub(super) fn pairs(text: &str) -> Result<Value, &str> {
    let pair = |line| {
        let (key, value): (&str, &str) = str::split_once(line, '=').ok_or(line)?;
        Ok((key.trim().to_owned(), Value::from(value.trim())))
    };
    lines(text).map(pair).collect::<Result<_, _>>().map(Value::Object)
}

/// Numbers with commas or spaces between them; what is none is told by the one who reads documents.
pub(super) fn numbers(text: &str) -> Value {
    let parts = text.split(|letter: char| letter == ',' || letter.is_whitespace());
    parts.filter(|part| !part.is_empty()).map(number).collect()
}

/// A value as it stands in a field.
pub(super) fn raw(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn entries(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(raw).collect()
}

/// Sets, or takes away, what stands at a pointer; objects on the way are made.
pub(in crate::dashboard) fn set(document: &mut Value, pointer: &str, value: Option<Value>) {
    let Some((parent, key)) = pointer.rsplit_once('/') else {
        *document = value.unwrap_or(Value::Null);
        return;
    };
    let key = key.replace("~1", "/").replace("~0", "~");
    if value.is_none() && document.pointer(parent).is_none() {
        return;
    }
    let mut at = document;
    for step in parent.split('/').skip(1) {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Value::Object(object) = at else { return };
        let step = step.replace("~1", "/").replace("~0", "~");
        at = object.entry(step).or_insert(Value::Null);
    }
    if !at.is_object() {
        *at = Value::Object(Map::new());
    }
    let Value::Object(object) = at else { return };
    match value {
        Some(value) => {
            object.insert(key, value);
        }
        None => {
            object.shift_remove(&key);
        }
    }
}

/// The merge patch that makes `to` of `from`.
pub(in crate::dashboard) fn patch(from: &Value, to: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (from, to) else { return to.clone() };
    let mut patch = Map::new();
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in after {
        match before.get(key) {
            Some(old) if old == value => {}
            Some(old @ Value::Object(_)) if value.is_object() => {
                patch.insert(key.clone(), self::patch(old, value));
            }
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(patch)
}

/// What somebody typed over what was there meanwhile: what was left alone takes the newer value.
pub(in crate::dashboard) fn rebase(base: &Value, typed: &Value, newer: &Value) -> Value {
    if typed == base {
        return newer.clone();
    }
    let (Value::Object(before), Value::Object(mine), Value::Object(theirs)) = (base, typed, newer)
    else {
        return typed.clone();
    };
    let mut merged = Map::new();
    for (key, value) in mine {
        let old = before.get(key).unwrap_or(&Value::Null);
        match theirs.get(key) {
            Some(new) => merged.insert(key.clone(), rebase(old, value, new)),
            // Taken away there, and left alone here.
            None if before.get(key) == Some(value) => None,
            None => merged.insert(key.clone(), value.clone()),
        };
    }
    for (key, value) in theirs {
        if !mine.contains_key(key) && before.get(key) != Some(value) {
            merged.insert(key.clone(), value.clone());
        }
    }
    Value::Object(merged)
}

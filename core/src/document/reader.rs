//! Where a reading stands in a file, and what it has found so far.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::schema::Key;
use super::value::whole;
use super::{EncodedSlashes, Group, Presence, Shape};
use crate::diagnostic::{Code, Diagnostic, did_you_mean};
use crate::json::join;
use crate::limits::ENTRIES;
use crate::path::ENCODED_SLASH;

/// A place in a file; findings reported through it carry the file and the pointer.
#[derive(Debug)]
pub struct Reader<'a> {
    file: &'a str,
    pointer: String,
    findings: &'a mut Vec<Diagnostic>,
    /// Places of references that stand for nothing.
    unresolved: BTreeSet<String>,
    /// What the group that the file is of does with `%2F` in paths.
    slashes: EncodedSlashes,
}

impl<'a> Reader<'a> {
    /// The top of a file.
    pub fn new(file: &'a str, findings: &'a mut Vec<Diagnostic>) -> Self {
        Self {
            file,
            pointer: String::new(),
            findings,
            unresolved: BTreeSet::new(),
            slashes: EncodedSlashes::Keep,
        }
    }

    /// The same in a group: what can match nothing there is an error.
    #[must_use]
    pub(crate) fn in_group(mut self, group: &Group) -> Self {
        self.slashes = group.http.encoded_slashes;
        self
    }

    /// Whether the group takes a path as it is written; if not, says why.
    pub(super) fn takes_path(&mut self, path: &str) -> bool {
        let refused = self.slashes == EncodedSlashes::Reject && path.contains(ENCODED_SLASH);
        if refused {
            self.error_with_hint(
                Code::BadPath,
                format!(
                    "{path:?} matches nothing here: the group refuses {ENCODED_SLASH} in paths"
                ),
                "set http.encoded_slashes to \"keep\" in group.json, or leave the slash out",
            );
        }
        !refused
    }

    /// Reports an error at this place.
    pub fn error(&mut self, code: Code, message: impl Into<String>) {
        let finding = Diagnostic::error(self.file, self.pointer.clone(), code, message);
        self.report(finding);
    }

    /// Reports an error at this place, with its remedy.
    pub fn error_with_hint(
        &mut self,
        code: Code,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let finding = Diagnostic::error(self.file, self.pointer.clone(), code, message);
        self.report(finding.with_hint(hint));
    }

    /// Reports that the text at this place is a reference that stands for nothing. What else it may be
    /// is not known, so that nothing more is said of it.
    pub(super) fn unresolved(&mut self, message: String, hint: String) {
        self.error_with_hint(Code::UnresolvedVariable, message, hint);
        self.unresolved.insert(self.pointer.clone());
    }

    /// Whether every reference of the file stands for something.
    pub(crate) fn is_resolved(&self) -> bool {
        self.unresolved.is_empty()
    }

    fn report(&mut self, finding: Diagnostic) {
        if !self.unresolved.contains(&finding.pointer) {
            self.findings.push(finding);
        }
    }

    /// Reads further one step below this place.
    pub fn below<R>(&mut self, token: &str, read: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.pointer.len();
        self.pointer = join(&self.pointer, token);
        let result = read(self);
        self.pointer.truncate(length);
        result
    }

    /// The object at this place; keys that are not in `keys` are findings.
    pub fn object<'j>(&mut self, json: &'j Value, keys: &[&str]) -> Option<&'j Map<String, Value>> {
        let Some(object) = json.as_object() else {
            self.wrong_type("an object", json);
            return None;
        };
        for key in object.keys().filter(|key| !keys.contains(&key.as_str())) {
            let hint = did_you_mean(key, keys.iter().copied())
                .unwrap_or_else(|| format!("known keys: {}", keys.join(", ")));
            self.below(key, |at| {
                at.error_with_hint(Code::UnknownKey, format!("unknown key {key:?}"), hint);
            });
        }
        Some(object)
    }

    /// The value of one key of an object, or its default.
    pub fn field<T: Shape>(
        &mut self,
        object: &Map<String, Value>,
        key: &str,
        presence: &Presence,
    ) -> Option<T> {
        match (object.get(key), presence) {
            (Some(value), _) | (None, Presence::Default(value)) => {
                self.below(key, |at| T::read(value, at))
            }
            (None, Presence::Absent) => T::absent(),
            (None, Presence::Required) => {
                self.below(key, |at| at.error(Code::MissingKey, format!("{key:?} is needed")));
                None
            }
        }
    }

    /// Reports that the value at this place is not what the key takes.
    pub fn wrong_type(&mut self, wanted: &str, found: &Value) {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.error(Code::WrongType, format!("{wanted} is needed here, not {found}"));
    }

    /// The text at this place.
    pub fn text<'j>(&mut self, json: &'j Value) -> Option<&'j str> {
        if json.is_string() {
            json.as_str()
        } else {
            self.wrong_type("a string", json);
            None
        }
    }

    /// The text at this place, parsed; what the parser says becomes a finding of kind `code`.
    pub fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        json: &Value,
        code: Code,
    ) -> Option<T> {
        match self.text(json)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.error(code, error.to_string());
                None
            }
        }
    }

    /// The whole number at this place, within `least..=most`; 80.0 is one.
    pub fn integer(&mut self, json: &Value, least: i64, most: i64) -> Option<i64> {
        let Some(number) = json.as_number() else {
            self.wrong_type("a whole number", json);
            return None;
        };
        match whole(number).filter(|value| (least..=most).contains(value)) {
            Some(value) => Some(value),
            None => {
                let message = format!("{number} is not a whole number from {least} to {most}");
                self.error(Code::BadValue, message);
                None
            }
        }
    }
}

impl<T: Shape> Shape for Vec<T> {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let Some(list) = json.as_array() else {
            at.wrong_type("a list", json);
            return None;
        };
        if list.len() > ENTRIES {
            at.error(Code::TooLarge, format!("more than {ENTRIES} entries"));
            return None;
        }
        let items: Vec<_> = list
            .iter()
            .enumerate()
            .map(|(index, item)| at.below(&index.to_string(), |at| T::read(item, at)))
            .collect();
        T::check_list(&items, at);
        items.into_iter().collect()
    }

    fn expand(json: &Value) -> Value {
        each_item(json, T::expand)
    }

    fn canonical(json: &Value) -> Value {
        each_item(json, T::canonical)
    }

    fn schema() -> Value {
        json!({"type": "array", "items": T::schema()})
    }
}

fn each_item(json: &Value, form: impl Fn(&Value) -> Value) -> Value {
    match json {
        Value::Array(list) => list.iter().map(form).collect(),
        other => other.clone(),
    }
}

/// Reports entries of a list that stand in it before; those that could not be read are nothing.
pub(crate) fn repeated<'t>(
    entries: impl Iterator<Item = Option<Cow<'t, str>>>,
    at: &mut Reader<'_>,
) {
    let mut seen = BTreeMap::new();
    for (index, entry) in entries.enumerate() {
        let Some(entry) = entry else { continue };
        if let Some(first) = seen.get(&entry) {
            at.below(&index.to_string(), |at| {
                let message = format!("{entry:?} stands already at {first}");
                at.error_with_hint(Code::BadValue, message, "keep one of them");
            });
        }
        seen.insert(entry, index);
    }
}

/// Absent means nothing; only [`Presence::Absent`] fields have this type.
impl<T: Shape> Shape for Option<T> {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        T::read(json, at).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn expand(json: &Value) -> Value {
        T::expand(json)
    }

    fn canonical(json: &Value) -> Value {
        T::canonical(json)
    }

    fn schema() -> Value {
        T::schema()
    }
}

/// A map of named things; canonical order is by name.
impl<K: FromStr<Err: std::fmt::Display> + Ord + Key, T: Shape> Shape for BTreeMap<K, T> {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let Some(object) = json.as_object() else {
            at.wrong_type("an object", json);
            return None;
        };
        if object.len() > ENTRIES {
            at.error(Code::TooLarge, format!("more than {ENTRIES} entries"));
            return None;
        }
        let entries: Vec<_> = object
            .iter()
            .map(|(key, value)| {
                at.below(key, |at| {
                    let name = match key.parse::<K>() {
                        Ok(name) => Some(name),
                        Err(error) => {
                            at.error(Code::BadName, error.to_string());
                            None
                        }
                    };
                    let value = T::read(value, at);
                    Some((name?, value?))
                })
            })
            .collect();
        entries.into_iter().collect()
    }

    fn expand(json: &Value) -> Value {
        each_entry(json, T::expand)
    }

    fn canonical(json: &Value) -> Value {
        each_entry(json, T::canonical)
    }

    fn schema() -> Value {
        let mut schema = json!({"type": "object"});
        if let Some(pattern) = K::pattern() {
            schema["propertyNames"] = json!({"pattern": pattern});
        }
        schema["additionalProperties"] = T::schema();
        schema
    }
}

fn each_entry(json: &Value, form: impl Fn(&Value) -> Value) -> Value {
    let Value::Object(object) = json else { return json.clone() };
    let sorted: BTreeMap<_, _> = object.iter().collect();
    sorted.into_iter().map(|(key, value)| (key.clone(), form(value))).collect()
}

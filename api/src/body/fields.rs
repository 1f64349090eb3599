//! Reads a command from a request body: every defect is told, not only the first.
//!
//! For the small objects that only the API knows (sync, rollback, tag a version, …). Documents of
//! the configuration are read by the core.

use refgate_core::diagnostic::{Code, Diagnostic, did_you_mean};
use refgate_core::json;
use serde_json::{Map, Value};

use crate::problem::{Kind, Problem};

/// The keys of one object, taken out one by one.
pub(crate) struct Fields {
    object: Map<String, Value>,
    known: Vec<&'static str>,
    findings: Vec<Diagnostic>,
}

/// A type that a key can take.
pub(crate) trait Field: Sized {
    /// Reads the value at `pointer`.
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic>;
}

impl Fields {
    /// Begins to read `body`.
    pub(crate) fn of(body: Value) -> Self {
        let (known, mut findings) = (Vec::new(), Vec::new());
        let object = match body {
            Value::Object(object) => object,
            other => {
                findings.push(wrong_type("", "an object", &other));
                Map::new()
            }
        };
        Self { object, known, findings }
    }

    /// The value of a key; `null` is the same as absent.
    pub(crate) fn optional<T: Field>(&mut self, key: &'static str) -> Option<T> {
        self.known.push(key);
        let value = self.object.shift_remove(key).filter(|value| !value.is_null())?;
        match T::read(value, &json::join("", key)) {
            Ok(value) => Some(value),
            Err(finding) => {
                self.findings.push(finding);
                None
            }
        }
    }

    /// The value of a key that must be there; nothing only after a finding was noted.
    pub(crate) fn required<T: Field>(&mut self, key: &'static str) -> Option<T> {
        let before = self.findings.len();
        let value = self.optional(key);
        if value.is_none() && self.findings.len() == before {
            let message = format!("the key {key:?} is missing");
            self.findings.push(Diagnostic::error("", "", Code::MissingKey, message));
        }
        value
    }

    /// Notes a finding of the caller's own.
    pub(crate) fn refuse(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
    }

    /// What `build` makes of the values, unless something was found, keys left over included.
    pub(crate) fn finish<T>(mut self, build: impl FnOnce() -> Option<T>) -> Result<T, Problem> {
        let wrong_shape = self
            .findings
            .iter()
            .any(|finding| finding.pointer.is_empty() && finding.code == Code::WrongType);
        for key in self.object.keys() {
            let message = format!("there is no key {key:?} here");
            let finding = Diagnostic::error("", json::join("", key), Code::UnknownKey, message);
            let hint = did_you_mean(key, self.known.iter().copied())
                .unwrap_or_else(|| format!("known keys: {}", self.known.join(", ")));
            self.findings.push(finding.with_hint(hint));
        }
        if wrong_shape {
            // Missing keys of something that is no object are noise.
            self.findings.retain(|finding| finding.code == Code::WrongType);
        }
        if !self.findings.is_empty() {
            return Err(Problem::invalid(self.findings));
        }
        build().ok_or_else(|| Problem::new(Kind::Internal, "a key was lost while reading the body"))
    }
}

/// The finding that `value` is not `wanted`.
pub(crate) fn wrong_type(pointer: &str, wanted: &str, value: &Value) -> Diagnostic {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    let message = format!("expected {wanted}, found {found}");
    Diagnostic::error("", pointer, Code::WrongType, message)
}

impl Field for Value {
    fn read(value: Value, _: &str) -> Result<Self, Diagnostic> {
        Ok(value)
    }
}

impl Field for Map<String, Value> {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        match value {
            Value::Object(object) => Ok(object),
            other => Err(wrong_type(pointer, "an object", &other)),
        }
    }
}

impl Field for String {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        match value {
            Value::String(text) => Ok(text),
            other => Err(wrong_type(pointer, "a string", &other)),
        }
    }
}

impl Field for bool {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        value.as_bool().ok_or_else(|| wrong_type(pointer, "true or false", &value))
    }
}

impl Field for u64 {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        value.as_u64().ok_or_else(|| wrong_type(pointer, "a whole number", &value))
    }
}

/// Reads a text with `FromStr`.
pub(crate) fn parsed<T>(value: Value, pointer: &str, code: Code) -> Result<T, Diagnostic>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text = String::read(value, pointer)?;
    text.parse().map_err(|error: T::Err| Diagnostic::error("", pointer, code, error.to_string()))
}

impl Field for refgate_core::name::GroupName {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        parsed(value, pointer, Code::BadName)
    }
}

impl Field for refgate_core::name::ServiceName {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        parsed(value, pointer, Code::BadName)
    }
}

impl Field for refgate_core::name::CommitId {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        parsed(value, pointer, Code::BadValue)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    type Findings = Vec<(String, Code)>;

    fn read(body: Value) -> Result<(String, Option<u64>), Findings> {
        let mut fields = Fields::of(body);
        let name = fields.required::<String>("name");
        let count = fields.optional::<u64>("count");
        fields.finish(|| Some((name?, count))).map_err(|problem| {
            let body = problem.to_json("");
            let findings = body["diagnostics"].as_array().cloned().unwrap_or_default();
            let code = |finding: &Value| {
                Code::ALL.iter().copied().find(|code| finding["code"] == code.as_str())
            };
            findings
                .iter()
                .filter_map(|f| Some((f["pointer"].as_str()?.to_owned(), code(f)?)))
                .collect()
        })
    }

    #[test]
    fn every_defect_is_told() {
        assert_eq!(read(json!({"name": "a", "count": 1})), Ok(("a".to_owned(), Some(1))));
        assert_eq!(read(json!({"name": "a", "count": null})), Ok(("a".to_owned(), None)));
        let at = |pointer: &str, code| (pointer.to_owned(), code);
        let table = [
            (json!([]), vec![at("", Code::WrongType)]),
            (json!({}), vec![at("", Code::MissingKey)]),
            (
                json!({"name": 1, "count": -1, "nmae": ""}),
                vec![
                    at("/name", Code::WrongType),
                    at("/count", Code::WrongType),
                    at("/nmae", Code::UnknownKey),
                ],
            ),
        ];
        for (body, findings) in table {
            assert_eq!(read(body.clone()), Err(findings), "{body}");
        }
    }
}

//! Values by reference: `"$var://name"`, `"$env://NAME"`, `"$file:///path"`, whole strings only.
//!
//! A `$var://` is resolved here, when a group is loaded; the other two stay as they are, for the
//! gateway to resolve where it runs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Reader;
use super::group::VariableName;
use crate::diagnostic::did_you_mean;

pub(super) const VARIABLE: &str = "$var://";

/// What every reference to a variable matches.
pub(crate) const VARIABLE_PATTERN: &str = r"^\$var://[A-Za-z_][A-Za-z0-9_.-]{0,63}$";

/// What every reference that the gateway resolves matches, as the beginning of an alternative.
pub(crate) const GATEWAY_PATTERN: &str = r"^\$(env|file)://[\s\S]";

/// Whether the gateway resolves this text.
#[must_use]
pub fn is_gateway_reference(text: &str) -> bool {
    let named = |prefix| text.strip_prefix(prefix).is_some_and(|name: &str| !name.is_empty());
    named("$env://") || named("$file://")
}

/// Whether any text of the document is a reference to a variable.
#[must_use]
pub fn uses_variables(json: &Value) -> bool {
    match json {
        Value::String(text) => text.starts_with(VARIABLE),
        Value::Array(list) => list.iter().any(uses_variables),
        Value::Object(object) => object.values().any(uses_variables),
        _ => false,
    }
}

/// Puts the values of the group's variables in the place of the references to them.
///
/// A reference to a variable that the group does not have is a finding and stays as it is.
pub fn resolve_variables(
    json: &mut Value,
    variables: &BTreeMap<VariableName, String>,
    at: &mut Reader<'_>,
) {
    match json {
        Value::String(text) => {
            let Some(name) = text.strip_prefix(VARIABLE) else { return };
            if let Some(value) = variables.get(name) {
                *text = value.clone();
            } else {
                let known = variables.keys().map(VariableName::as_str);
                let hint = did_you_mean(name, known)
                    .unwrap_or_else(|| format!("add {name:?} to the variables in group.json"));
                let message = format!("the group has no variable {name:?}");
                at.unresolved(message, hint);
            }
        }
        Value::Array(list) => {
            for (index, item) in list.iter_mut().enumerate() {
                at.below(&index.to_string(), |at| resolve_variables(item, variables, at));
            }
        }
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                at.below(key, |at| resolve_variables(value, variables, at));
            }
        }
        _ => {}
    }
}

//! The documents, out of their own declarations: one schema for what is read and what is written; what
//! only reads have is `readOnly`.

use refgate_core::document::schema::{self, LABEL};
use serde_json::{Map, Value, json};

use super::{flag, or_null, text};
use crate::openapi::operation::shape;

/// The schema of what each file is, by the name of its schema for editors.
const DOCUMENTS: [(&str, &str); 7] = [
    ("group.json", "GroupDocument"),
    ("service.json", "ServiceDocument"),
    ("route.json", "Route"),
    ("runtime.json", "Runtime"),
    ("consumer.json", "Consumer"),
    ("certificate.json", "Certificate"),
    ("global-rule.json", "GlobalRule"),
];

/// The last commit that changed it; told in reads, ignored in writes.
fn last_change() -> [(&'static str, Value); 3] {
    [
        ("commit", or_null(shape("CommitId"))),
        ("updated_at", or_null(shape("Time"))),
        ("updated_by", or_null(text("Who changed it last."))),
    ]
}

/// Adds keys that only answers have to the schema of what is written too.
fn tell(schema: &mut Value, fields: impl IntoIterator<Item = (&'static str, Value)>) {
    for (key, mut field) in fields {
        field["readOnly"] = json!(true);
        schema["properties"][key] = field;
    }
}

pub(super) fn add(all: &mut Map<String, Value>) {
    for (file, mut schema) in schema::all() {
        let Some((_, name)) = DOCUMENTS.iter().find(|(known, _)| *known == file) else { continue };
        if let Value::Object(object) = &mut schema {
            object.shift_remove("$schema");
            object.shift_remove("$id");
            if let Some(mut defs) = object.shift_remove("$defs") {
                all.insert("Variable".to_owned(), defs["variable"].take());
            }
        }
        point_to_components(&mut schema);
        all.insert((*name).to_owned(), schema);
    }
    let mut service = all["ServiceDocument"].clone();
    service["description"] = json!("A service in a group, whole: its content and its runtime.");
    service["properties"]["routes"] = json!({
        "description": "Its routes by name.", "type": "object",
        "propertyNames": {"pattern": LABEL}, "additionalProperties": shape("Route"),
    });
    service["properties"]["runtime"] = shape("Runtime");
    let mut created = all["GroupDocument"].clone();
    created["description"] = json!("A new group: the fields of `group.json`, and its name.");
    created["properties"]["name"] = shape("Name");
    created["required"] = json!(["name"]);
    all.insert("NewGroup".to_owned(), created);
    for name in ["Route", "Runtime", "Consumer", "Certificate", "GlobalRule"] {
        tell(&mut all[name], last_change());
    }
    for name in ["Route", "Consumer", "Certificate", "GlobalRule"] {
        let mut item = all[name].clone();
        item["properties"]["name"] = json!({"type": "string"});
        let mut required = vec![json!("name")];
        required.extend(item["required"].as_array().into_iter().flatten().cloned());
        item["required"] = json!(required);
        all.insert(format!("Named{name}"), item);
    }
    tell(
        &mut service,
        [
            ("name", shape("Name")),
            ("group", shape("Name")),
            ("version", or_null(shape("Version"))),
            ("based_on", or_null(shape("Version"))),
            ("modified", flag("Whether the content differs from `based_on`.")),
            ("live", flag("Whether it takes requests.")),
            ("live_reason", shape("Live")),
        ],
    );
    tell(&mut service, last_change());
    all.insert("Service".to_owned(), service);
    for (of, name) in [
        ("GroupDocument", "GroupPatch"),
        ("Service", "ServicePatch"),
        ("Route", "RoutePatch"),
        ("Runtime", "RuntimePatch"),
        ("Consumer", "ConsumerPatch"),
        ("Certificate", "CertificatePatch"),
        ("GlobalRule", "GlobalRulePatch"),
    ] {
        let keys: Vec<&String> =
            all[of]["properties"].as_object().into_iter().flat_map(Map::keys).collect();
        let about = format!(
            "A merge patch (RFC 7396) of a {}: what is absent stays, null takes away. The outcome is \
             what must be valid.",
            name.trim_end_matches("Patch")
        );
        let patch =
            json!({"description": about, "type": "object", "propertyNames": {"enum": keys}});
        all.insert(name.to_owned(), patch);
    }
}

/// Documents for editors have their definitions with them; here they are beside each other.
fn point_to_components(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("$ref") == Some(&json!("#/$defs/variable")) {
                object.insert("$ref".to_owned(), shape("Variable")["$ref"].clone());
            }
            object.values_mut().for_each(point_to_components);
        }
        Value::Array(items) => items.iter_mut().for_each(point_to_components),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_documents_hold_is_declared_once() {
        let all = super::super::all();
        let told = [
            ("group.json", vec!["Group", "NewGroup"]),
            ("service.json", vec!["Service", "VersionDetail"]),
            ("route.json", vec!["Route", "NamedRoute"]),
            ("runtime.json", vec!["Runtime"]),
            ("consumer.json", vec!["Consumer", "NamedConsumer"]),
            ("certificate.json", vec!["Certificate", "NamedCertificate"]),
            ("global-rule.json", vec!["GlobalRule", "NamedGlobalRule"]),
        ];
        assert_eq!(told.each_ref().map(|(file, _)| *file), DOCUMENTS.map(|(file, _)| file));
        for (file, mut schema) in schema::all() {
            point_to_components(&mut schema);
            let names =
                told.iter().filter(|(known, _)| *known == file).flat_map(|(_, names)| names);
            for name in names {
                for (key, declared) in schema["properties"].as_object().into_iter().flatten() {
                    assert_eq!(&all[*name]["properties"][key], declared, "{name}: {key} of {file}");
                }
            }
        }
    }
}

//! OpenAPI 3.0 and 3.1 as a service: one route per operation.
//!
//! A route says which requests are taken, so paths and methods are carried, names and summaries
//! with them. Schemas, parameters and answers are not the gateway's to check; what an author may
//! take for carried is told in the notes. Paths in `operation.rs`, addresses in
//! `server.rs`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::server::Server;
use super::{Import, ImportedRoute, Note, operation, slug};
use crate::diagnostic::{Code, Diagnostic};
use crate::json::join;
use crate::name::{RouteName, ServiceName};
use crate::pattern::PathPattern;

/// The keys of a path that are operations.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Translates a document. `service` is the name to take in place of the one made of its title.
///
/// # Errors
/// Findings where it is no OpenAPI document of a known version, or holds no operation that could be
/// carried.
pub fn read(document: &Value, service: Option<ServiceName>) -> Result<Import, Vec<Diagnostic>> {
    let mut findings = Vec::new();
    if let Err(finding) = is_openapi(document) {
        // Nothing else that could be said of another kind of document helps.
        return Err(vec![finding]);
    }
    let title = document["info"]["title"].as_str().unwrap_or_default();
    let service = service.or_else(|| slug(title).and_then(|name| name.parse().ok()));
    if service.is_none() {
        let message = "the title makes no name for the service";
        let finding = Diagnostic::error("", "/info/title", Code::BadName, message);
        findings.push(finding.with_hint("give the service a name (\"service\", --service NAME)"));
    }
    let mut reading = Reading::of(document);
    match &document["paths"] {
        Value::Object(paths) => reading.paths(paths),
        Value::Null => {}
        _ => {
            let message = "expected an object: paths and their operations";
            findings.push(Diagnostic::error("", "/paths", Code::WrongType, message));
        }
    }
    reading.what_is_elsewhere();
    if reading.routes.is_empty() && findings.is_empty() {
        let why = match reading.notes.first() {
            Some(Note { pointer, message }) => format!(": {pointer}: {message}"),
            None => String::new(),
        };
        let message = format!("there is no operation in it that can be a route{why}");
        findings.push(Diagnostic::error("", "/paths", Code::MissingKey, message));
    }
    match service {
        Some(service) if findings.is_empty() => Ok(Import {
            service,
            description: title.to_owned(),
            routes: reading.routes,
            runtime: reading.runtime,
            notes: reading.notes,
        }),
        _ => Err(findings),
    }
}

fn is_openapi(document: &Value) -> Result<(), Diagnostic> {
    let refuse = |pointer: &str, code, message: String| {
        Err(Diagnostic::error("", pointer, code, message)
            .with_hint("OpenAPI 3.0 and 3.1 are read; converters for other versions exist"))
    };
    let Value::Object(object) = document else {
        return refuse("", Code::WrongType, "an OpenAPI document is an object".to_owned());
    };
    match object.get("openapi") {
        Some(Value::String(version))
            if ["3.0", "3.1"].iter().any(|known| is_version(version, known)) =>
        {
            Ok(())
        }
        Some(other) => refuse(
            "/openapi",
            Code::BadValue,
            format!("the OpenAPI version {other} is not read here"),
        ),
        None if object.contains_key("swagger") => {
            refuse("/swagger", Code::BadValue, "this is Swagger 2.0, not OpenAPI 3".to_owned())
        }
        None => refuse("", Code::MissingKey, "the key \"openapi\" is missing".to_owned()),
    }
}

fn is_version(version: &str, known: &str) -> bool {
    version.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A document that is being read.
struct Reading<'a> {
    document: &'a Value,
    base: String,
    runtime: Option<Value>,
    routes: Vec<ImportedRoute>,
    notes: Vec<Note>,
    /// Names that are taken.
    names: BTreeSet<String>,
    /// Pattern and method of every route so far.
    taken: BTreeSet<(PathPattern, &'static str)>,
}

impl<'a> Reading<'a> {
    fn of(document: &'a Value) -> Self {
        let servers = document["servers"].as_array().map_or(&[][..], Vec::as_slice);
        let server = servers.first().map(Server::read).unwrap_or_default();
        let mut reading = Self {
            document,
            base: server.base,
            runtime: server.runtime,
            routes: Vec::new(),
            notes: Vec::new(),
            names: BTreeSet::new(),
            taken: BTreeSet::new(),
        };
        for message in server.notes {
            reading.note("/servers/0".to_owned(), message);
        }
        if servers.len() > 1 {
            let message = format!(
                "of {} servers the first counts; nodes of the others belong to the groups that use them",
                servers.len()
            );
            reading.note("/servers".to_owned(), message);
        }
        reading
    }

    fn note(&mut self, pointer: String, message: impl Into<String>) {
        self.notes.push(Note { pointer, message: message.into() });
    }

    fn paths(&mut self, paths: &'a Map<String, Value>) {
        for (path, item) in paths.iter().filter(|(path, _)| !path.starts_with("x-")) {
            let pointer = join("/paths", path);
            let item = match item.get("$ref").and_then(Value::as_str) {
                None => item,
                Some(reference) => {
                    match reference.strip_prefix('#').and_then(|at| self.document.pointer(at)) {
                        Some(item) => item,
                        None => {
                            self.note(
                                pointer,
                                format!("not carried: {reference} is not in this document"),
                            );
                            continue;
                        }
                    }
                }
            };
            if item.get("servers").is_some() {
                self.note(join(&pointer, "servers"), "a path's own servers are not carried: its requests go where those of the service go");
            }
            let operations: Vec<_> =
                METHODS.iter().filter_map(|method| Some((*method, item.get(*method)?))).collect();
            if operations.is_empty() {
                continue;
            }
            let pattern = match operation::pattern(&self.base, path) {
                Ok(found) => {
                    if let Some(note) = found.note {
                        self.note(pointer.clone(), note);
                    }
                    found.pattern
                }
                Err(reason) => {
                    self.note(pointer, format!("not carried: {reason}"));
                    continue;
                }
            };
            for (method, operation) in operations {
                self.operation(path, &pattern, method, operation, &join(&pointer, method));
            }
        }
    }

    fn operation(
        &mut self,
        path: &str,
        pattern: &PathPattern,
        method: &'static str,
        operation: &Value,
        pointer: &str,
    ) {
        if !self.taken.insert((pattern.clone(), method)) {
            let message = "not carried: another operation takes the same requests (names of parameters do not tell paths apart)";
            self.note(pointer.to_owned(), message);
            return;
        }
        if operation.get("servers").is_some() {
            self.note(join(pointer, "servers"), "an operation's own servers are not carried: its requests go where those of the service go");
        }
        if operation.get("callbacks").is_some() {
            self.note(join(pointer, "callbacks"), "callbacks are calls of the service, not to it");
        }
        let wanted = operation["operationId"].as_str().and_then(slug);
        let wanted = wanted.or_else(|| slug(&format!("{method} {path}")));
        let name = self.name(&wanted.unwrap_or_else(|| method.to_owned()));
        let description = ["summary", "description"]
            .iter()
            .filter_map(|key| operation[*key].as_str()?.lines().next())
            .map(str::trim)
            .find(|text| !text.is_empty())
            .unwrap_or_default();
        let mut document = Map::new();
        if !description.is_empty() {
            document.insert("description".to_owned(), json!(description));
        }
        if operation["deprecated"] == json!(true) {
            document.insert("labels".to_owned(), json!({"deprecated": "true"}));
        }
        document.insert("paths".to_owned(), json!([pattern.as_str()]));
        document.insert("methods".to_owned(), json!([method.to_uppercase()]));
        if let Some(name) = name {
            self.routes.push(ImportedRoute { name, document: Value::Object(document) });
        }
    }

    /// A name that no route has yet.
    fn name(&mut self, wanted: &str) -> Option<RouteName> {
        let mut name = wanted.to_owned();
        let mut number = 2;
        while self.names.contains(&name) {
            let end = format!("-{number}");
            let stem = wanted.get(..crate::limits::NAME_BYTES - end.len()).unwrap_or(wanted);
            name = format!("{}{end}", stem.trim_end_matches('-'));
            number += 1;
        }
        self.names.insert(name.clone());
        name.parse().ok()
    }

    /// What an author may take for carried, told once each.
    fn what_is_elsewhere(&mut self) {
        if self.document.get("webhooks").is_some() {
            self.note("/webhooks".to_owned(), "webhooks are calls of the service, not to it");
        }
        let components = &self.document["components"]["securitySchemes"];
        if self.document.get("security").is_some() || components.is_object() {
            let message = "security is not carried: credentials are checked by plugins (key-auth, basic-auth, …) of the service or its routes";
            self.note("/security".to_owned(), message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pets() -> Value {
        json!({
            "openapi": "3.0.3",
            "info": {"title": "Pet Store", "version": "1"},
            "servers": [
                {"url": "https://{where}.pets.test/v1", "variables": {"where": {"default": "eu"}}},
                {"url": "http://localhost"}
            ],
            "paths": {
                "/pets": {
                    "parameters": [],
                    "get": {"operationId": "listPets", "summary": "All pets\nand more"},
                    "post": {"operationId": "listPets"}
                },
                "/pets/{pet.id}": {"get": {"description": "One pet", "deprecated": true}},
                "/pets/{other}": {"get": {}, "delete": {"servers": []}},
                "/search?q={q}": {"get": {}},
                "/files/{name}.json": {"get": {"operationId": "日本"}},
                "/shared": {"$ref": "#/components/pathItems/shared"},
                "/far": {"$ref": "other.yaml#/x"},
                "x-own": {"get": {}}
            },
            "components": {"pathItems": {"shared": {"head": {}}}, "securitySchemes": {"key": {}}},
            "webhooks": {}
        })
    }

    #[test]
    fn one_route_per_operation() {
        let import = read(&pets(), None).expect("an import");
        assert_eq!(import.service.as_str(), "pet-store");
        assert_eq!(
            import.document(true),
            json!({
                "description": "Pet Store",
                "routes": {
                    "list-pets": {"description": "All pets", "paths": ["/v1/pets"], "methods": ["GET"]},
                    "list-pets-2": {"paths": ["/v1/pets"], "methods": ["POST"]},
                    "get-pets-pet-id": {"description": "One pet", "labels": {"deprecated": "true"},
                        "paths": ["/v1/pets/{pet_id}"], "methods": ["GET"]},
                    "delete-pets-other": {"paths": ["/v1/pets/{other}"], "methods": ["DELETE"]},
                    "get-files-name-json": {"paths": ["~/v1/files/[^/]+\\.json"], "methods": ["GET"]},
                    "head-shared": {"paths": ["/v1/shared"], "methods": ["HEAD"]},
                },
                "runtime": {"upstreams": {"default": {
                    "nodes": [{"host": "eu.pets.test", "port": 443}],
                    "scheme": "https", "pass_host": "node",
                }}},
            })
        );
        assert!(import.patch().get("runtime").is_none());
        let told: Vec<&str> = import.notes.iter().map(|note| note.pointer.as_str()).collect();
        assert_eq!(
            told,
            [
                "/servers/0",
                "/servers",
                "/paths/~1pets~1{pet.id}",
                "/paths/~1pets~1{other}/get",
                "/paths/~1pets~1{other}/delete/servers",
                "/paths/~1search?q={q}",
                "/paths/~1files~1{name}.json",
                "/paths/~1far",
                "/webhooks",
                "/security",
            ]
        );
        assert_eq!(import.summary()["routes"][1]["methods"], json!(["POST"]));
    }

    #[test]
    fn a_given_name_counts() {
        let import = read(&pets(), "shop".parse().ok()).expect("an import");
        assert_eq!(import.service.as_str(), "shop");
    }

    #[test]
    fn what_is_refused() {
        let with = |key: &str, value: Value| {
            let mut document = pets();
            document[key] = value;
            document
        };
        let table = [
            (json!([]), "", Code::WrongType),
            (json!({}), "", Code::MissingKey),
            (json!({"swagger": "2.0"}), "/swagger", Code::BadValue),
            (with("openapi", json!("3.2.0")), "/openapi", Code::BadValue),
            (with("openapi", json!("3.10")), "/openapi", Code::BadValue),
            (with("openapi", json!(3.0)), "/openapi", Code::BadValue),
            (with("info", json!({"title": "日本"})), "/info/title", Code::BadName),
            (with("paths", json!([])), "/paths", Code::WrongType),
            (with("paths", json!({})), "/paths", Code::MissingKey),
            (with("paths", json!({"/a?b": {"get": {}}})), "/paths", Code::MissingKey),
            (with("paths", json!({"/a": null, "/b": 1})), "/paths", Code::MissingKey),
        ];
        for (document, pointer, code) in table {
            let findings = read(&document, None).expect_err(pointer);
            let found: Vec<_> =
                findings.iter().map(|found| (found.pointer.as_str(), found.code)).collect();
            assert_eq!(found, [(pointer, code)], "{document}");
        }
        assert!(read(&with("openapi", json!("3.1.1")), None).is_ok());
    }
}

//! One operation: what is said of an endpoint beside its method, path and guard.
//!
//! What follows from those, and from what an operation takes, is said here for all of them: path
//! parameters, the preconditions and options of writes, cursors of lists, and refusals.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::refusal;
use crate::auth::Role;
use crate::http::{Endpoint, Guard};
use crate::limits::{PAGE, PAGE_DEFAULT, WAIT_SECONDS};
use crate::problem::Kind;

/// What is said of one endpoint.
pub(super) struct Operation {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    about: &'static str,
    parameters: Vec<Value>,
    body: Option<Body>,
    answers: BTreeMap<u16, Answer>,
    refusals: Vec<Kind>,
}

struct Body {
    schema: Value,
    example: Value,
    types: &'static [&'static str],
}

/// What one status brings.
struct Answer {
    about: &'static str,
    /// By content type; empty when there is no body.
    content: Vec<(&'static str, Vec<Value>)>,
    headers: Vec<&'static str>,
}

/// A reference to a component of the document.
pub(super) fn reference(kind: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{kind}/{name}")})
}

/// A reference to a schema.
pub(super) fn shape(name: &str) -> Value {
    reference("schemas", name)
}

/// An operation that takes nothing and answers nothing yet.
pub(super) fn operation(
    (method, path): (&'static str, &'static str),
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
) -> Operation {
    Operation {
        method,
        path,
        id,
        tag,
        summary,
        about: "",
        parameters: Vec::new(),
        body: None,
        answers: BTreeMap::new(),
        refusals: Vec::new(),
    }
}

impl Operation {
    /// More about it, for people.
    pub(super) fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    /// It answers 200 with this.
    pub(super) fn answers(self, schema: Value) -> Self {
        self.answers_with(200, "Done.", "application/json", schema)
    }

    /// It answers this status with this; several of one status and type are alternatives.
    pub(super) fn answers_with(
        mut self,
        status: u16,
        about: &'static str,
        content_type: &'static str,
        schema: Value,
    ) -> Self {
        let empty = || Answer { about, content: Vec::new(), headers: vec!["X-Request-Id"] };
        let answer = self.answers.entry(status).or_insert_with(empty);
        match answer.content.iter_mut().find(|(known, _)| *known == content_type) {
            Some((_, schemas)) => schemas.push(schema),
            None => answer.content.push((content_type, vec![schema])),
        }
        self
    }

    /// It answers a list in pages.
    pub(super) fn lists(self, item: Value) -> Self {
        self.pages(page_of(item))
    }

    /// The same, with more than items and cursor.
    pub(super) fn pages(mut self, page: Value) -> Self {
        self.parameters.extend(["limit", "after"].map(|name| reference("parameters", name)));
        self.answers(page)
    }

    /// It answers an object that has an entity tag.
    pub(super) fn reads(mut self, schema: Value) -> Self {
        self.parameters.push(reference("parameters", "If-None-Match"));
        let mut read = self.answers(schema);
        if let Some(answer) = read.answers.get_mut(&200) {
            answer.headers.push("ETag");
        }
        let headers = vec!["X-Request-Id", "ETag"];
        let known = "The client has it: the entity tag is still the same.";
        read.answers.insert(304, Answer { about: known, content: Vec::new(), headers });
        read
    }

    /// It changes a group.
    pub(super) fn writes(mut self) -> Self {
        self.with_options();
        self.answers(shape("Written")).answers(shape("DryRun")).refuses(&[
            Kind::PreconditionFailed,
            Kind::ConcurrentUpdate,
            Kind::ReadOnlyGroup,
            Kind::ValidationFailed,
        ])
    }

    /// It may create something.
    pub(super) fn creates(self) -> Self {
        self.answers_with(201, "Created.", "application/json", shape("Written"))
    }

    /// It changes groups, and answers for each.
    pub(super) fn writes_each(mut self) -> Self {
        self.with_options();
        self.answers_each()
    }

    fn with_options(&mut self) {
        let options = ["dry_run", "wait", "expect_plan", "If-Match", "If-Not-There"];
        self.parameters.extend(options.map(|name| reference("parameters", name)));
    }

    /// With a list of targets it answers for each.
    pub(super) fn answers_each(self) -> Self {
        self.answers(shape("Results"))
    }

    /// It takes this body.
    pub(super) fn takes(mut self, schema: Value, example: Value) -> Self {
        let types = &["application/json", "application/yaml"];
        self.body = Some(Body { schema, example, types });
        self
    }

    /// It takes a merge patch.
    pub(super) fn takes_patch(mut self, of: &str, example: Value) -> Self {
        let types = &["application/json", "application/merge-patch+json", "application/yaml"];
        self.body = Some(Body { schema: shape(&format!("{of}Patch")), example, types });
        self
    }

    /// It takes this query parameter.
    pub(super) fn query(mut self, name: &str, schema: Value, about: &str) -> Self {
        self.parameters
            .push(json!({"name": name, "in": "query", "description": about, "schema": schema}));
        self
    }

    /// It needs this query parameter.
    pub(super) fn needs_query(self, name: &str, schema: Value, about: &str) -> Self {
        let mut with = self.query(name, schema, about);
        if let Some(last) = with.parameters.last_mut() {
            last["required"] = json!(true);
        }
        with
    }

    /// It takes this header.
    pub(super) fn header(mut self, name: &str) -> Self {
        self.parameters.push(reference("parameters", name));
        self
    }

    /// It may refuse for these reasons too.
    pub(super) fn refuses(mut self, kinds: &[Kind]) -> Self {
        self.refusals.extend(kinds);
        self
    }

    pub(super) fn is_of(&self, endpoint: &Endpoint) -> bool {
        self.path == endpoint.path && endpoint.method == self.method
    }

    /// What the document says of it; new combinations of refusals go into `shared`.
    pub(super) fn to_json(
        &self,
        endpoint: &Endpoint,
        shared: &mut BTreeMap<String, Value>,
    ) -> Value {
        let names: Vec<&str> = in_path(self.path).collect();
        let mut parameters: Vec<Value> =
            names.iter().map(|name| reference("parameters", name)).collect();
        parameters.extend(self.parameters.iter().cloned());
        parameters.push(reference("parameters", "X-Request-Id"));
        let mut operation = Map::new();
        let mut say = |key: &str, value: Value| operation.insert(key.to_owned(), value);
        say("operationId", json!(self.id));
        say("tags", json!([self.tag]));
        say("summary", json!(self.summary));
        say("description", json!(format!("{} {}", self.about, needs(endpoint.guard)).trim()));
        if endpoint.guard == Guard::Open {
            say("security", json!([]));
        }
        say("parameters", json!(parameters));
        if let Some(Body { schema, example, types }) = &self.body {
            let media = json!({"schema": schema, "examples": {"one": {"value": example}}});
            let content: Map<_, _> =
                types.iter().map(|name| ((*name).to_owned(), media.clone())).collect();
            say("requestBody", json!({"required": true, "content": content}));
        }
        let mut responses = Map::new();
        for (status, answer) in &self.answers {
            responses.insert(status.to_string(), answer.to_json());
        }
        let mut by_status = BTreeMap::<u16, Vec<Kind>>::new();
        for kind in Kind::ALL.iter().filter(|kind| self.may_refuse(**kind, endpoint, &names)) {
            by_status.entry(kind.status().as_u16()).or_default().push(*kind);
        }
        for (status, kinds) in by_status {
            let (name, response) = refusal(&kinds);
            responses.insert(status.to_string(), reference("responses", &name));
            shared.insert(name, response);
        }
        say("responses", Value::Object(responses));
        Value::Object(operation)
    }

    fn may_refuse(&self, kind: Kind, endpoint: &Endpoint, names: &[&str]) -> bool {
        let (guarded, makes) = (endpoint.guard != Guard::Open, self.body.is_some());
        self.refusals.contains(&kind)
            || match kind {
                Kind::MalformedRequest | Kind::Internal => true,
                Kind::Unauthenticated | Kind::Forbidden | Kind::Damaged | Kind::Unavailable => {
                    guarded
                }
                Kind::NotFound => !names.is_empty(),
                Kind::BadVersion => names.contains(&"version"),
                Kind::PayloadTooLarge | Kind::UnsupportedMediaType | Kind::ValidationFailed => {
                    makes
                }
                _ => false,
            }
    }
}

impl Answer {
    fn to_json(&self) -> Value {
        let headers: Map<_, _> = self
            .headers
            .iter()
            .map(|name| ((*name).to_owned(), reference("headers", name)))
            .collect();
        let mut answer = json!({"description": self.about, "headers": headers});
        for (name, schemas) in &self.content {
            answer["content"][name]["schema"] = match schemas.as_slice() {
                [only] => only.clone(),
                several => json!({"anyOf": several}),
            };
        }
        answer
    }
}

/// A page of a list of these.
pub(super) fn page_of(item: Value) -> Value {
    json!({
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": item},
            "next": {
                "type": ["string", "null"],
                "description": "The cursor that `after` takes for the next page; null after the last.",
            },
        },
    })
}

/// The names of the parameters of a path.
pub(super) fn in_path(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// Who may call it, for people.
fn needs(guard: Guard) -> String {
    match guard {
        Guard::Needs(Role::Admin) => "Needs the role `admin`.".to_owned(),
        Guard::Needs(role) => format!("Needs the role `{role}`, or one that may more."),
        Guard::CheckIn => "Needs the role `gateway`, `editor` or `admin`.".to_owned(),
        Guard::Git | Guard::Page(_) | Guard::Open => "Needs no token.".to_owned(),
    }
}

/// The parameters that operations share, those of paths by the name that paths have them under.
pub(super) fn parameters() -> Value {
    let path = |name: &str, schema: &str, about: &str| {
        json!({"name": name, "in": "path", "required": true, "description": about,
            "schema": shape(schema)})
    };
    let query = |name: &str, schema: Value, about: String| json!({"name": name, "in": "query", "description": about, "schema": schema});
    let header = |name: &str, schema: Value, about: &str| json!({"name": name, "in": "header", "description": about, "schema": schema});
    let seconds = json!({"type": "number", "minimum": 0, "maximum": WAIT_SECONDS});
    let tag = "(W/)?\"[^\"]*\"";
    let tags = || json!({"type": "string", "pattern": format!("^(\\*|{tag}( *, *{tag})*)$")});
    json!({
        "group": path("group", "Name", "The group."),
        "service": path("service", "Name", "The service."),
        "route": path("route", "Name", "The route."),
        "consumer": path("consumer", "ConsumerName", "The consumer."),
        "certificate": path("certificate", "Name", "The certificate."),
        "rule": path("rule", "Name", "The global rule."),
        "version": path("version", "Version", "The number of the version."),
        "commit": path("commit", "CommitId", "The commit, by its full id."),
        "token": path("token", "TokenName", "The name of the token."),
        "instance": path("instance", "InstanceName", "The name of the instance."),
        "limit": query("limit", json!({"type": "integer", "minimum": 1, "default": PAGE_DEFAULT}),
            format!("The items of a page; never more than {PAGE} come.")),
        "after": query("after", json!({"type": "string"}),
            "The cursor of a page: what was `next` in the one before.".to_owned()),
        "dry_run": query("dry_run", json!({"type": "boolean", "default": false}),
            "Answers the plan and writes nothing; what writing would refuse is refused.".to_owned()),
        "wait": query("wait", seconds,
            "Answers when every healthy gateway of the group serves the commit, or after so many \
             seconds, with `convergence`.".to_owned()),
        "expect_plan": query("expect_plan", json!({"type": "string"}),
            "Only if it does what the plan with this `id` says, else 409 `concurrent_update`; for \
             several groups the `id` of each plan, with commas.".to_owned()),
        "If-Match": header("If-Match", tags(),
            "Only if the object is still the one with this entity tag, or with one of these."),
        "If-Not-There": header("If-None-Match", tags(),
            "`*`: only if the object does not exist yet; with entity tags: only if it is none of these."),
        "If-None-Match": header("If-None-Match", tags(),
            "304 if the object is still the one with this entity tag, or with one of these."),
        "Prefer": header("Prefer", json!({"type": "string", "pattern": "^wait=[0-9]{1,2}$"}),
            "`wait=SECONDS`: with `If-None-Match`, hold the answer until there is another one."),
        "Last-Event-ID": header("Last-Event-ID", json!({"type": "string", "pattern": "^[0-9]{1,15}$"}),
            "The last commit that the client was told of, by its revision or id."),
        "X-Request-Id": header("X-Request-Id", json!({"type": "string"}),
            "Your id for the request; it is in the answer, the log and the commit. One that is not \
             1 to 128 letters, digits and `-_.:/+=@` is replaced."),
    })
}

/// The headers that answers share.
pub(super) fn headers() -> Value {
    let text = |about: &str| json!({"description": about, "schema": {"type": "string"}});
    json!({
        "X-Request-Id": text("The id of the request."),
        "ETag": text("Changes whenever anything that is shown does; the part before the dot, if there is one, whenever what can be written does."),
        "Retry-After": text("The seconds after which it is worth trying again."),
        "WWW-Authenticate": text("How to send a token."),
    })
}

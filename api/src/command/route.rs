//! `refgate route`: routes of a service. Next: [`mod@test`] for the one that asks who takes a request.

mod test;

use std::io;

use clap::{Args, Subcommand};
use refgate_core::name::{GroupName, RouteName, ServiceName, UpstreamName};
use serde_json::{Map, Value, json};

use self::test::TestArgs;
use super::Run;
use super::args::{GroupArg, Pair, PatchArgs, WriteArgs, method, object_of};
use super::failure::Failure;
use super::input::{self, Source};
use super::session::Session;
use crate::client::endpoint::Endpoint;
use crate::client::view::{self, LastChange, Route};
use crate::output::table::{Column, Table};
use crate::output::write::Ending;
use crate::output::{Format, Output, text};

/// Verbs of routes.
#[derive(Debug, Subcommand)]
pub enum RouteCommand {
    /// List the routes of a service
    List {
        /// Where it is.
        #[command(flatten)]
        group: GroupArg,
        /// Name of the service
        service: ServiceName,
    },
    /// Show one route
    Get(Place),
    /// Create a route, or replace it as a whole
    Put(PutArgs),
    /// Change some of a route's settings
    Patch(ChangeArgs),
    /// Delete a route
    Delete {
        /// Which one.
        #[command(flatten)]
        place: Place,
        /// How to write.
        #[command(flatten)]
        write: WriteArgs,
    },
    /// Show which route takes a request, and why the others do not
    Test(TestArgs),
}

/// Which route.
#[derive(Debug, Args)]
pub struct Place {
    #[command(flatten)]
    group: GroupArg,
    /// Name of the service
    service: ServiceName,
    /// Name of the route
    route: RouteName,
}

impl Place {
    fn endpoint(&self) -> Endpoint {
        Endpoint::route(&self.group.group, &self.service, &self.route)
    }

    fn subject(&self) -> String {
        format!("route {} of {}", self.route, self.service)
    }
}

/// Settings of a route as flags.
#[derive(Debug, Args)]
pub struct SettingArgs {
    /// Path: exact /a, prefix /a/*, parameter /users/{id}, or ~regex; may be repeated
    #[arg(long = "path", value_name = "PATTERN")]
    paths: Vec<String>,
    /// Method; may be repeated. Without one the route takes all
    #[arg(long = "method", value_name = "METHOD", value_delimiter = ',', value_parser = method)]
    methods: Vec<String>,
    /// Upstream that the requests go to
    #[arg(long, value_name = "NAME")]
    upstream: Option<UpstreamName>,
    /// Decides between routes of the same host and path; higher first
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Only requests with this header; may be repeated
    #[arg(long = "header", value_name = "NAME=VALUE")]
    headers: Vec<Pair>,
    /// What the route is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<Pair>,
    /// Let connections be upgraded to WebSocket
    #[arg(long)]
    websocket: bool,
    /// Take requests
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Take no requests
    #[arg(long)]
    disable: bool,
}

impl SettingArgs {
    fn document(&self) -> Map<String, Value> {
        let mut document = Map::new();
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                document.insert(key.to_owned(), value);
            }
        };
        let list = |items: &[String]| (!items.is_empty()).then(|| json!(items));
        set("description", self.description.as_ref().map(|text| json!(text)));
        set("labels", (!self.labels.is_empty()).then(|| object_of(&self.labels)));
        set("enabled", self.enable.then(|| json!(true)).or(self.disable.then(|| json!(false))));
        set("paths", list(&self.paths));
        set("methods", list(&self.methods));
        set("priority", self.priority.map(|priority| json!(priority)));
        set("match", (!self.headers.is_empty()).then(|| json!({"headers": self.predicates()})));
        set("upstream", self.upstream.as_ref().map(|name| json!(name)));
        set("websocket", self.websocket.then(|| json!(true)));
        document
    }

    fn predicates(&self) -> Vec<Value> {
        let predicate = |pair: &Pair| json!({"name": pair.key, "value": pair.value});
        self.headers.iter().map(predicate).collect()
    }
}

/// Flags of `route put`.
#[derive(Debug, Args)]
pub struct PutArgs {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    settings: SettingArgs,
    /// The route as JSON or YAML; `-` reads standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<Source>,
    #[command(flatten)]
    write: WriteArgs,
}

/// Flags of `route patch`.
#[derive(Debug, Args)]
pub struct ChangeArgs {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    settings: SettingArgs,
    #[command(flatten)]
    patch: PatchArgs,
    #[command(flatten)]
    write: WriteArgs,
}

impl Run for RouteCommand {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        match self {
            Self::List { group, service } => list(session, &group.group, &service),
            Self::Get(place) => get(session, &place),
            Self::Put(args) => args.run(session),
            Self::Patch(args) => args.run(session),
            Self::Delete { place, write } => session.write(
                &write,
                [&place.group.group],
                &place.subject(),
                "deleted",
                |client, options| client.delete(&place.endpoint(), options),
            ),
            Self::Test(args) => args.run(session),
        }
    }
}

fn list(
    session: &mut Session,
    group: &GroupName,
    service: &ServiceName,
) -> Result<Ending, Failure> {
    let endpoint = Endpoint::of_service(group, service, "routes");
    let body = session.client.list(&endpoint, None)?;
    let routes: Vec<Route> = view::items(&body)?;
    let table = |routes: &[Route]| table(routes.iter().map(|route| (route.name.as_str(), route)));
    let empty = format!("{service} has no route in {group} yet: `refgate route put` makes one");
    session.output.list(&body, &routes, |route| route.name.clone(), table, &empty)?;
    Ok(Ending::Done)
}

/// The routes of a service.
pub(crate) fn table<'a>(routes: impl IntoIterator<Item = (&'a str, &'a Route)>) -> Table {
    let mut table = Table::new([
        Column::whole("ROUTE"),
        Column::words("METHODS"),
        Column::words("PATHS"),
        Column::whole("UPSTREAM"),
        Column::whole("PRIORITY"),
        Column::whole("STATE"),
        Column::spare("DESCRIPTION"),
    ]);
    for (name, route) in routes {
        table.row([
            name.to_owned(),
            methods(route),
            route.paths.join(", "),
            route.upstream.clone(),
            if route.priority == 0 { String::new() } else { route.priority.to_string() },
            if route.enabled { String::new() } else { "disabled".to_owned() },
            route.description.clone(),
        ]);
    }
    table.without_empty_columns()
}

fn methods(route: &Route) -> String {
    if route.methods.is_empty() { "any".to_owned() } else { route.methods.join(", ") }
}

fn get(session: &mut Session, place: &Place) -> Result<Ending, Failure> {
    let answer = session.client.get(&place.endpoint())?;
    let out = &mut session.output;
    match out.format() {
        Format::Json | Format::Yaml => out.document(&answer.body)?,
        Format::Name => out.line(place.route.as_str())?,
        Format::Table => {
            let route: Route = view::read(&answer.body)?;
            let last: LastChange = view::read(&answer.body)?;
            show(out, place, &route, &last, answer.etag.as_deref())?;
        }
    }
    Ok(Ending::Done)
}

fn show(
    out: &mut Output,
    place: &Place,
    route: &Route,
    last: &LastChange,
    etag: Option<&str>,
) -> io::Result<()> {
    let mut fields = Table::fields();
    fields
        .field("name", place.route.as_str())
        .field("service", place.service.as_str())
        .field("group", place.group.group.as_str())
        .field("description", &route.description)
        .field("enabled", if route.enabled { "yes" } else { "no" })
        .field("paths", route.paths.join(", "))
        .field("methods", methods(route))
        .field("priority", route.priority.to_string())
        .field("upstream", &route.upstream);
    for (place, predicates) in &route.r#match {
        let empty = predicates.as_array().is_some_and(Vec::is_empty);
        fields.field(place, if empty { String::new() } else { text::scalar(predicates) });
    }
    text::last_change(&mut fields, last);
    fields.field("etag", etag.unwrap_or_default());
    out.table(&fields)
}

impl PutArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let flags = self.settings.document();
        let document = match (&self.file, flags.is_empty()) {
            (Some(source), true) => input::document(source)?,
            (None, false) => Value::Object(flags),
            (None, true) => {
                return Err(Failure::Usage("a route needs --path, or -f FILE".to_owned()));
            }
            (Some(_), false) => {
                return Err(Failure::Usage(
                    "the route is either in -f or in flags, not in both".to_owned(),
                ));
            }
        };
        session.write(
            &self.write,
            [&self.place.group.group],
            &self.place.subject(),
            "updated",
            |client, options| client.put(&self.place.endpoint(), &document, options),
        )
    }
}

impl ChangeArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let patch = self.patch.or_flags(self.settings.document())?;
        session.write(
            &self.write,
            [&self.place.group.group],
            &self.place.subject(),
            "updated",
            |client, options| client.patch(&self.place.endpoint(), &patch, options),
        )
    }
}

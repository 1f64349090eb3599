//! `refgate service`: services of a group.

use std::io;

use clap::{Args, Subcommand};
use refgate_core::name::{GroupName, RouteName, ServiceName};
use serde_json::{Map, Value, json};

use super::args::{GroupArg, Pair, PatchArgs, WriteArgs, method, object_of};
use super::failure::Failure;
use super::input::{self, Source};
use super::runtime::TargetArgs;
use super::session::Session;
use super::tree::WholeService;
use super::{Run, route, runtime, status};
use crate::client::WriteOptions;
use crate::client::endpoint::Endpoint;
use crate::client::view::{self, Service};
use crate::output::table::{Column, Table};
use crate::output::write::Ending;
use crate::output::{Format, Output, text};

/// Verbs of services.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// List the services of a group; without a group, every service in every group
    List {
        /// Gateway group
        #[arg(short = 'g', long = "group", value_name = "GROUP")]
        group: Option<GroupName>,
    },
    /// Show one service, with its routes and upstreams
    Get(Place),
    /// Create a service, with its hosts, nodes and a first route
    Create(Box<CreateArgs>),
    /// Create a service, or replace it as a whole
    Put(PutArgs),
    /// Change some of a service's settings
    Patch(ChangeArgs),
    /// Delete a service from a group; its versions stay
    Delete {
        /// Which one.
        #[command(flatten)]
        place: Place,
        /// How to write.
        #[command(flatten)]
        write: WriteArgs,
    },
}

/// Which service.
#[derive(Debug, Args)]
pub struct Place {
    #[command(flatten)]
    group: GroupArg,
    /// Name of the service
    #[arg(value_name = "SERVICE")]
    service: ServiceName,
}

impl Place {
    fn endpoint(&self) -> Endpoint {
        Endpoint::service(&self.group.group, &self.service)
    }

    fn subject(&self) -> String {
        format!("service {}", self.service)
    }
}

/// Flags of `service create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    #[command(flatten)]
    place: Place,
    /// What the service is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<Pair>,
    #[command(flatten)]
    target: TargetArgs,
    /// Path of the first route; may be repeated
    #[arg(long = "path", value_name = "PATTERN", help_heading = "First route")]
    paths: Vec<String>,
    /// Method of the first route; may be repeated. Without one it takes all
    #[arg(
        long = "method",
        value_name = "METHOD",
        value_delimiter = ',',
        value_parser = method,
        requires = "paths",
        help_heading = "First route"
    )]
    methods: Vec<String>,
    /// Name of the first route
    #[arg(
        long,
        value_name = "NAME",
        default_value = "default",
        requires = "paths",
        help_heading = "First route"
    )]
    route: RouteName,
    /// The service as JSON or YAML; `-` reads standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<Source>,
    #[command(flatten)]
    write: WriteArgs,
}

/// Flags of `service put`.
#[derive(Debug, Args)]
pub struct PutArgs {
    #[command(flatten)]
    place: Place,
    /// The service as JSON or YAML, such as `refgate service get -o json` shows it; `-` reads
    /// standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Source,
    #[command(flatten)]
    write: WriteArgs,
}

/// Flags of `service patch`.
#[derive(Debug, Args)]
pub struct ChangeArgs {
    #[command(flatten)]
    place: Place,
    /// What the service is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<Pair>,
    #[command(flatten)]
    patch: PatchArgs,
    #[command(flatten)]
    write: WriteArgs,
}

impl Run for ServiceCommand {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        match self {
            Self::List { group: Some(group) } => list(session, &group),
            Self::List { group: None } => status::matrix(session),
            Self::Get(place) => get(session, &place),
            Self::Create(args) => args.run(session),
            Self::Put(args) => args.run(session),
            Self::Patch(args) => args.run(session),
            Self::Delete { place, write } => session.write(
                &write,
                [&place.group.group],
                &place.subject(),
                "deleted",
                |client, options| client.delete(&place.endpoint(), options),
            ),
        }
    }
}

fn list(session: &mut Session, group: &GroupName) -> Result<Ending, Failure> {
    let body = session.client.list(&Endpoint::of_group(group, "services"), None)?;
    let services: Vec<Service> = view::items(&body)?;
    let empty = format!("there is no service in {group} yet");
    session.output.list(&body, &services, |service| service.name.clone(), table, &empty)?;
    Ok(Ending::Done)
}

fn table(services: &[Service]) -> Table {
    let mut table = Table::new([
        Column::whole("SERVICE"),
        Column::words("VERSION"),
        Column::words("STATE"),
        Column::words("HOSTS"),
        Column::whole("ROUTES"),
        Column::spare("UPDATED"),
        Column::spare("BY"),
    ]);
    for service in services {
        let hosts = service.runtime.as_ref().map(|runtime| runtime.hosts.join(", "));
        table.row([
            service.name.clone(),
            text::version_of(service),
            text::live(service.live, &service.live_reason),
            hosts.unwrap_or_default(),
            service.routes.len().to_string(),
            text::time(service.updated_at.as_deref().unwrap_or_default()),
            service.updated_by.clone().unwrap_or_default(),
        ]);
    }
    table.without_empty_columns()
}

fn get(session: &mut Session, place: &Place) -> Result<Ending, Failure> {
    let answer = session.client.get(&place.endpoint())?;
    let out = &mut session.output;
    match out.format() {
        Format::Json | Format::Yaml => out.document(&answer.body)?,
        Format::Name => out.line(place.service.as_str())?,
        Format::Table => {
            let service: Service = view::read(&answer.body)?;
            show(out, &service, answer.etag.as_deref())?;
        }
    }
    Ok(Ending::Done)
}

fn show(out: &mut Output, service: &Service, etag: Option<&str>) -> io::Result<()> {
    let mut fields = Table::fields();
    fields
        .field("name", &service.name)
        .field("group", &service.group)
        .field("type", &service.r#type)
        .field("description", &service.description)
        .field("labels", text::labels(&service.labels))
        .field("version", text::version_of(service))
        .field("state", text::live(service.live, &service.live_reason));
    if let Some(runtime) = &service.runtime {
        runtime::add_fields(&mut fields, runtime);
    }
    fields
        .field("updated", text::time(service.updated_at.as_deref().unwrap_or_default()))
        .field("by", service.updated_by.as_deref().unwrap_or_default())
        .field("commit", service.commit.as_deref().unwrap_or_default())
        .field("etag", etag.unwrap_or_default());
    out.table(&fields)?;
    let routes = service.routes.iter().map(|(name, route)| (name.as_str(), route));
    let routes = route::table(routes);
    if !routes.is_empty() {
        out.line("")?;
        out.table(&routes)?;
    }
    if let Some(runtime) = &service.runtime {
        let upstreams = runtime::table(runtime);
        if !upstreams.is_empty() {
            out.line("")?;
            out.table(&upstreams)?;
        }
    }
    Ok(())
}

impl CreateArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let flags = self.document();
        let document = match &self.file {
            None => Value::Object(flags),
            Some(_) if !flags.is_empty() => {
                return Err(Failure::Usage(
                    "the service is either in -f or in flags, not in both".to_owned(),
                ));
            }
            Some(source) => whole(&self.place, source)?,
        };
        // With an ETag the service has to exist: the server says so, in its own words.
        let only_create = self.write.if_match.is_none();
        session.write(
            &self.write,
            [&self.place.group.group],
            &self.place.subject(),
            "created",
            |client, options| {
                let options = WriteOptions { only_create, ..options.clone() };
                client.put(&self.place.endpoint(), &document, &options)
            },
        )
    }

    fn document(&self) -> Map<String, Value> {
        let mut document = Map::new();
        if let Some(description) = &self.description {
            document.insert("description".to_owned(), json!(description));
        }
        if !self.labels.is_empty() {
            document.insert("labels".to_owned(), object_of(&self.labels));
        }
        if !self.paths.is_empty() {
            let mut route = Map::new();
            route.insert("paths".to_owned(), json!(self.paths));
            if !self.methods.is_empty() {
                route.insert("methods".to_owned(), json!(self.methods));
            }
            if let Some(upstream) = &self.target.upstream {
                route.insert("upstream".to_owned(), json!(upstream));
            }
            let name = self.route.to_string();
            document.insert(
                "routes".to_owned(),
                Value::Object([(name, route.into())].into_iter().collect()),
            );
        }
        let runtime = self.target.document();
        if !runtime.is_empty() {
            document.insert("runtime".to_owned(), Value::Object(runtime));
        }
        document
    }
}

impl PutArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let document = whole(&self.place, &self.file)?;
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
        let mut flags = Map::new();
        if let Some(description) = &self.description {
            flags.insert("description".to_owned(), json!(description));
        }
        if !self.labels.is_empty() {
            flags.insert("labels".to_owned(), object_of(&self.labels));
        }
        let patch = self.patch.or_flags(flags)?;
        session.write(
            &self.write,
            [&self.place.group.group],
            &self.place.subject(),
            "updated",
            |client, options| client.patch(&self.place.endpoint(), &patch, options),
        )
    }
}

/// The document of a service; a name in it must be the one that was typed.
fn whole(place: &Place, source: &Source) -> Result<Value, Failure> {
    let whole = WholeService::read(source, input::document(source)?)?;
    match &whole.name {
        Some(name) if *name != place.service => {
            let reason = format!("it is about the service {name}, not {}", place.service);
            Err(input::unfit(source, &reason).into())
        }
        _ => Ok(whole.document),
    }
}

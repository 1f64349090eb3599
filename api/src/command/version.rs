//! `refgate version`: versions of a service.

use clap::{Args, Subcommand};
use refgate_core::name::{GroupName, ServiceName};
use refgate_core::version::Version;
use serde_json::{Map, Value, json};

use super::args::{GroupArg, WriteArgs};
use super::failure::Failure;
use super::session::Session;
use super::{Run, route};
use crate::client::endpoint::Endpoint;
use crate::client::view;
use crate::output::table::{Column, Table};
use crate::output::write::Ending;
use crate::output::{Format, text};

/// Verbs of versions.
#[derive(Debug, Subcommand)]
pub enum VersionCommand {
    /// List the versions of a service; with a group, those that it has run
    List {
        /// Name of the service
        service: ServiceName,
        /// Gateway group
        #[arg(short = 'g', long = "group", value_name = "GROUP")]
        group: Option<GroupName>,
    },
    /// Show one version: where it runs, and its content
    Get {
        /// Name of the service
        service: ServiceName,
        /// Number of the version
        version: Version,
    },
    /// Give what a group runs now a version number
    Create(CreateArgs),
}

/// Flags of `version create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    #[command(flatten)]
    group: GroupArg,
    /// Name of the service
    service: ServiceName,
    /// Number of the new version, such as 1.0.0
    version: Version,
    /// What is new in it
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    #[command(flatten)]
    write: WriteArgs,
}

impl Run for VersionCommand {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        match self {
            Self::List { service, group } => list(session, &service, group.as_ref()),
            Self::Get { service, version } => get(session, &service, &version),
            Self::Create(args) => args.run(session),
        }
    }
}

fn list(
    session: &mut Session,
    service: &ServiceName,
    group: Option<&GroupName>,
) -> Result<Ending, Failure> {
    let endpoint = match group {
        Some(group) => Endpoint::of_service(group, service, "versions"),
        None => Endpoint::across(service, "versions"),
    };
    let body = session.client.list(&endpoint, None)?;
    let versions: Vec<view::Version> = view::items(&body)?;
    let empty = format!("{service} has no version yet: sync it to a group, or `version create`");
    session.output.list(&body, &versions, |version| version.version.clone(), table, &empty)?;
    Ok(Ending::Done)
}

fn table(versions: &[view::Version]) -> Table {
    let mut table = Table::new([
        Column::whole("VERSION"),
        Column::words("RUNS IN"),
        Column::words("CREATED"),
        Column::spare("BY"),
        Column::words("MESSAGE"),
        Column::whole("COMMIT"),
    ]);
    for version in versions {
        table.row([
            version.version.clone(),
            version.groups.join(", "),
            text::time(&version.created_at),
            version.created_by.clone(),
            version.message.clone().unwrap_or_default().trim().to_owned(),
            text::short_commit(&version.commit).to_owned(),
        ]);
    }
    table.without_empty_columns()
}

fn get(session: &mut Session, service: &ServiceName, number: &Version) -> Result<Ending, Failure> {
    let answer = session.client.get(&Endpoint::version(service, number))?;
    let out = &mut session.output;
    match out.format() {
        Format::Json | Format::Yaml => out.document(&answer.body)?,
        Format::Name => out.line(number.to_string())?,
        Format::Table => {
            let version: view::Version = view::read(&answer.body)?;
            let runs_in = match version.groups.as_slice() {
                [] => "no group".to_owned(),
                groups => groups.join(", "),
            };
            let mut fields = Table::fields();
            fields
                .field("service", &version.service)
                .field("version", &version.version)
                .field("runs in", runs_in)
                .field("created", text::time(&version.created_at))
                .field("by", &version.created_by)
                .field("message", version.message.as_deref().unwrap_or_default().trim())
                .field("commit", &version.commit)
                .field("content", &version.content);
            let content: view::Service = view::read(&answer.body)?;
            let plugins: Vec<&str> = content.plugins.keys().map(String::as_str).collect();
            fields
                .field("type", &content.r#type)
                .field("description", &content.description)
                .field("labels", text::labels(&content.labels))
                .field("plugins", plugins.join(", "));
            out.table(&fields)?;
            let routes = content.routes.iter().map(|(name, route)| (name.as_str(), route));
            let routes = route::table(routes);
            if !routes.is_empty() {
                out.line("")?;
                out.table(&routes)?;
            }
        }
    }
    Ok(Ending::Done)
}

impl CreateArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let mut body = Map::new();
        body.insert("version".to_owned(), json!(self.version.to_string()));
        if let Some(message) = &self.message {
            body.insert("message".to_owned(), json!(message));
        }
        let endpoint = Endpoint::of_service(&self.group.group, &self.service, "versions");
        let body = Value::Object(body);
        let subject = format!("version {} of {}", self.version, self.service);
        session.write(&self.write, [&self.group.group], &subject, "created", |client, options| {
            client.post(&endpoint, &body, options)
        })
    }
}

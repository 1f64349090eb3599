//! `refgate import`: services out of descriptions in other notations.

use clap::{Args, Subcommand};
use refgate_core::name::ServiceName;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Run;
use super::args::{GroupArg, WriteArgs};
use super::failure::Failure;
use super::input::{self, Source};
use super::session::{Sent, Session};
use crate::client::endpoint::Endpoint;
use crate::client::view;
use crate::output::table::{Column, Table};
use crate::output::write::{self, Ending};
use crate::output::{Format, Output};

/// What can be imported.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Make a service of an OpenAPI 3.0 or 3.1 document: one route per operation
    ///
    /// A service that is there gets the routes of the document; its other routes, its plugins, its
    /// hosts and nodes stay. What cannot be carried is listed.
    Openapi(OpenapiArgs),
}

/// Flags of `import openapi`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  refgate import openapi petstore.yaml -g test --with-upstream --dry-run")]
pub struct OpenapiArgs {
    /// The document as JSON or YAML; `-` reads standard input
    #[arg(value_name = "FILE")]
    file: Source,
    #[command(flatten)]
    group: GroupArg,
    /// Name of the service; without it, the title of the document as a name
    #[arg(long, value_name = "NAME")]
    service: Option<ServiceName>,
    /// Give a service that is not there yet the first server of the document as its node
    #[arg(long)]
    with_upstream: bool,
    #[command(flatten)]
    write: WriteArgs,
}

/// What the answer says beside the change.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Imported {
    service: String,
    routes: Vec<Route>,
    notes: Vec<Note>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Route {
    name: String,
    methods: Vec<String>,
    paths: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Note {
    pointer: String,
    message: String,
}

impl Run for ImportCommand {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let Self::Openapi(args) = self;
        let mut body = Map::new();
        body.insert("document".to_owned(), input::document(&args.file)?);
        if let Some(service) = &args.service {
            body.insert("service".to_owned(), json!(service));
        }
        if args.with_upstream {
            body.insert("with_upstream".to_owned(), json!(true));
        }
        let body = Value::Object(body);
        let endpoint = Endpoint::import_openapi(&args.group.group);
        let subject = format!("import of {}", args.file);
        let sent =
            session.send(&args.write, [&args.group.group], &subject, |client, options| {
                client.post(&endpoint, &body, options)
            })?;
        let answer = match sent {
            Sent::Answered(answer) => answer,
            Sent::Refused(ending) => return Ok(ending),
        };
        let imported: Imported = match answer.body.get("import") {
            Some(import) => view::read(import)?,
            None => Imported::default(),
        };
        let out = &mut session.output;
        if out.format() == Format::Table {
            show(out, &imported)?;
        }
        let subject = format!("service {}", imported.service);
        let ending = write::print(out, &answer, &subject, "imported")?;
        for note in &imported.notes {
            let place = if note.pointer.is_empty() { "the document" } else { &note.pointer };
            out.note(format!("note: {place}: {}", note.message))?;
        }
        Ok(ending)
    }
}

fn show(out: &mut Output, imported: &Imported) -> std::io::Result<()> {
    let columns = [Column::whole("ROUTE"), Column::words("METHODS"), Column::words("PATHS")];
    let mut table = Table::new(columns);
    for route in &imported.routes {
        table.row([route.name.clone(), route.methods.join(", "), route.paths.join(", ")]);
    }
    out.table(&table)?;
    out.line("")
}

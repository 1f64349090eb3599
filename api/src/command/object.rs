//! `refgate consumer`, `refgate certificate`, `refgate global-rule`: group-owned objects.
//!
//! The three take the same verbs; what an object holds is the server's business.

use clap::{Args, Subcommand};
use refgate_core::name::GroupName;
use refgate_core::object::{ObjectKind, ObjectName};
use serde_json::{Map, Value, json};

use super::Run;
use super::args::{GroupArg, PatchArgs, WriteArgs};
use super::failure::Failure;
use super::input::{self, Source};
use super::session::Session;
use crate::client::endpoint::Endpoint;
use crate::client::one_or_many;
use crate::client::view::{self, LastChange};
use crate::output::table::{Column, Table};
use crate::output::write::Ending;
use crate::output::{Format, text};

/// Verbs of consumers, certificates and global rules.
#[derive(Debug, Subcommand)]
pub enum ObjectCommand {
    /// List those of a group
    List {
        /// Where.
        #[command(flatten)]
        group: GroupArg,
    },
    /// Show one
    Get(Place),
    /// Create one, or replace it as a whole
    Put {
        /// Which one.
        #[command(flatten)]
        place: Place,
        /// The document as JSON or YAML; `-` reads standard input
        #[arg(short = 'f', long, value_name = "FILE")]
        file: Source,
        /// How to write.
        #[command(flatten)]
        write: WriteArgs,
    },
    /// Apply a merge patch
    Patch {
        /// Which one.
        #[command(flatten)]
        place: Place,
        /// What to change.
        #[command(flatten)]
        patch: PatchArgs,
        /// How to write.
        #[command(flatten)]
        write: WriteArgs,
    },
    /// Delete one
    Delete {
        /// Which one.
        #[command(flatten)]
        place: Place,
        /// How to write.
        #[command(flatten)]
        write: WriteArgs,
    },
    /// Copy one to other groups, as it is; references in it stay references
    Copy(CopyArgs),
}

/// Which object.
#[derive(Debug, Args)]
pub struct Place {
    #[command(flatten)]
    group: GroupArg,
    /// Its name
    name: String,
}

/// Flags of `copy`.
#[derive(Debug, Args)]
pub struct CopyArgs {
    /// Its name
    name: String,
    /// Group that has it
    #[arg(long, value_name = "GROUP")]
    from: GroupName,
    /// Groups to copy to
    #[arg(long, value_name = "GROUP", required = true, value_delimiter = ',')]
    to: Vec<GroupName>,
    /// Take the place of another one of that name; without it, that is refused
    #[arg(long)]
    replace: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    write: WriteArgs,
}

impl ObjectCommand {
    /// The command about objects of one kind.
    #[must_use]
    pub fn of(self, kind: ObjectKind) -> impl Run {
        OfKind { kind, command: self }
    }
}

struct OfKind {
    kind: ObjectKind,
    command: ObjectCommand,
}

impl Run for OfKind {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let kind = self.kind;
        let named =
            |name: &str| kind.named(name).map_err(|error| Failure::Usage(error.to_string()));
        match self.command {
            ObjectCommand::List { group } => list(session, kind, &group.group),
            ObjectCommand::Get(place) => get(session, &place.group.group, &named(&place.name)?),
            ObjectCommand::Put { place, file, write } => {
                let object = named(&place.name)?;
                let document = input::document(&file)?;
                let endpoint = Endpoint::object(&place.group.group, &object);
                session.write(
                    &write,
                    [&place.group.group],
                    &object.to_string(),
                    "updated",
                    |client, options| client.put(&endpoint, &document, options),
                )
            }
            ObjectCommand::Patch { place, patch, write } => {
                let object = named(&place.name)?;
                let patch = patch.or_flags(Map::new())?;
                let endpoint = Endpoint::object(&place.group.group, &object);
                session.write(
                    &write,
                    [&place.group.group],
                    &object.to_string(),
                    "updated",
                    |client, options| client.patch(&endpoint, &patch, options),
                )
            }
            ObjectCommand::Delete { place, write } => {
                let object = named(&place.name)?;
                let endpoint = Endpoint::object(&place.group.group, &object);
                session.write(
                    &write,
                    [&place.group.group],
                    &object.to_string(),
                    "deleted",
                    |client, options| client.delete(&endpoint, options),
                )
            }
            ObjectCommand::Copy(args) => {
                let object = named(&args.name)?;
                let mut body = Map::from_iter([("to".to_owned(), one_or_many(&args.to))]);
                if args.replace {
                    body.insert("replace".to_owned(), json!(true));
                }
                if let Some(reason) = &args.reason {
                    body.insert("reason".to_owned(), json!(reason));
                }
                let endpoint = Endpoint::object_copy(&args.from, &object);
                let body = Value::Object(body);
                session.write(
                    &args.write,
                    &args.to,
                    &object.to_string(),
                    "copied",
                    |client, options| client.post(&endpoint, &body, options),
                )
            }
        }
    }
}

fn list(session: &mut Session, kind: ObjectKind, group: &GroupName) -> Result<Ending, Failure> {
    let body = session.client.list(&Endpoint::of_group(group, kind.folder()), None)?;
    let objects: Vec<Map<String, Value>> = view::items(&body)?;
    let noun = kind.noun();
    let empty = format!("{group} has no {noun} yet: `refgate {} put` makes one", kind.event());
    let name = |object: &Map<String, Value>| field(object, "name");
    let table = |objects: &[Map<String, Value>]| {
        let holds = match kind {
            ObjectKind::Consumer => "CREDENTIALS",
            ObjectKind::Certificate => "SNIS",
            ObjectKind::GlobalRule => "PLUGINS",
        };
        let columns = [Column::whole("NAME"), Column::words(holds), Column::spare("DESCRIPTION")];
        let mut table = Table::new(columns);
        for object in objects {
            table.row([name(object), held(kind, object), field(object, "description")]);
        }
        table
    };
    session.output.list(&body, &objects, name, table, &empty)?;
    Ok(Ending::Done)
}

fn get(session: &mut Session, group: &GroupName, object: &ObjectName) -> Result<Ending, Failure> {
    let answer = session.client.get(&Endpoint::object(group, object))?;
    let out = &mut session.output;
    match out.format() {
        Format::Json | Format::Yaml => out.document(&answer.body)?,
        Format::Name => out.line(object.as_str())?,
        Format::Table => {
            let mut document: Map<String, Value> = view::read(&answer.body)?;
            let last: LastChange = view::read(&answer.body)?;
            document
                .retain(|key, _| !["commit", "updated_at", "updated_by"].contains(&key.as_str()));
            let mut fields = Table::fields();
            fields.field("name", object.as_str()).field("group", group.as_str());
            for (key, value) in &document {
                let shown = match (key.as_str(), value) {
                    ("credentials" | "snis" | "plugins", _) => held(object.kind(), &document),
                    (_, Value::String(text)) => one_line(text),
                    (_, Value::Object(map)) if map.is_empty() => String::new(),
                    (_, value) => text::scalar(value),
                };
                fields.field(key, shown);
            }
            text::last_change(&mut fields, &last);
            fields.field("etag", answer.etag.as_deref().unwrap_or_default());
            out.table(&fields)?;
        }
    }
    Ok(Ending::Done)
}

fn field(object: &Map<String, Value>, key: &str) -> String {
    object.get(key).map(text::scalar).unwrap_or_default()
}

/// What an object is there for, in short.
fn held(kind: ObjectKind, object: &Map<String, Value>) -> String {
    let held: Vec<String> = match kind {
        ObjectKind::Consumer => {
            let credentials = object.get("credentials").and_then(Value::as_object);
            let shown = |(name, credential): (&String, &Value)| match credential["type"].as_str() {
                Some(kind) => format!("{name} ({kind})"),
                None => name.clone(),
            };
            credentials.into_iter().flatten().map(shown).collect()
        }
        ObjectKind::Certificate => {
            let snis = object.get("snis").and_then(Value::as_array);
            snis.into_iter().flatten().map(text::scalar).collect()
        }
        ObjectKind::GlobalRule => {
            let plugins = object.get("plugins").and_then(Value::as_object);
            plugins.into_iter().flatten().map(|(name, _)| name.clone()).collect()
        }
    };
    held.join(", ")
}

/// PEM by the number of its blocks; other text as it is.
fn one_line(text: &str) -> String {
    match text.matches("-----BEGIN ").count() {
        0 => text.to_owned(),
        blocks => text::count(u64::try_from(blocks).unwrap_or(u64::MAX), "PEM block"),
    }
}

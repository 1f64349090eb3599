//! `refgate group`: gateway groups.

use std::io;

use clap::{Args, Subcommand};
use refgate_core::name::GroupName;
use serde_json::{Map, Value, json};

use super::Run;
use super::args::{Pair, PatchArgs, WriteArgs, object_of};
use super::failure::Failure;
use super::input::{self, Source};
use super::session::Session;
use crate::client::endpoint::Endpoint;
use crate::client::view::{self, Group};
use crate::output::table::{Column, Table};
use crate::output::write::Ending;
use crate::output::{Format, Output, text};

/// Verbs of groups.
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// List all groups
    List,
    /// Show one group
    Get {
        /// Name of the group
        #[arg(value_name = "GROUP")]
        name: GroupName,
    },
    /// Create a group
    Create(CreateArgs),
    /// Change some of a group's settings
    #[command(visible_alias = "patch")]
    Update(UpdateArgs),
    /// Delete a group that no gateway serves; its history is archived
    Delete {
        /// Name of the group
        #[arg(value_name = "GROUP")]
        name: GroupName,
        /// How to write.
        #[command(flatten)]
        write: WriteArgs,
    },
}

/// Settings of a group as flags.
#[derive(Debug, Args)]
pub struct SettingArgs {
    /// What the group is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<Pair>,
    /// Variable for `$var://KEY` in the group's documents; may be repeated
    #[arg(long = "variable", value_name = "KEY=VALUE")]
    variables: Vec<Pair>,
    /// Only versions that ran in one of these groups may come here
    #[arg(long = "promote-from", value_name = "GROUP", value_delimiter = ',')]
    promote_from: Vec<GroupName>,
    /// Whether services may be changed here other than by sync and rollback
    #[arg(long, value_name = "RULE", value_parser = ["allow", "runtime-only"])]
    direct_edits: Option<String>,
}

impl SettingArgs {
    fn document(&self) -> Map<String, Value> {
        let mut document = Map::new();
        if let Some(description) = &self.description {
            document.insert("description".to_owned(), json!(description));
        }
        if !self.labels.is_empty() {
            document.insert("labels".to_owned(), object_of(&self.labels));
        }
        if !self.variables.is_empty() {
            document.insert("variables".to_owned(), object_of(&self.variables));
        }
        let mut promotion = Map::new();
        if !self.promote_from.is_empty() {
            promotion.insert("from".to_owned(), json!(self.promote_from));
        }
        if let Some(rule) = &self.direct_edits {
            promotion.insert("direct_edits".to_owned(), json!(rule));
        }
        if !promotion.is_empty() {
            document.insert("promotion".to_owned(), Value::Object(promotion));
        }
        document
    }
}

/// Flags of `group create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Name of the group
    #[arg(value_name = "GROUP")]
    name: GroupName,
    #[command(flatten)]
    settings: SettingArgs,
    /// `gateway`, or `ingress` for one that Kubernetes resources describe
    #[arg(long, value_name = "TYPE", value_parser = ["gateway", "ingress"])]
    r#type: Option<String>,
    /// The group's document as JSON or YAML; `-` reads standard input
    #[arg(
        short = 'f',
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "description", "labels", "variables", "promote_from", "direct_edits", "type"
        ]
    )]
    file: Option<Source>,
    #[command(flatten)]
    write: WriteArgs,
}

/// Flags of `group update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Name of the group
    #[arg(value_name = "GROUP")]
    name: GroupName,
    #[command(flatten)]
    settings: SettingArgs,
    #[command(flatten)]
    patch: PatchArgs,
    #[command(flatten)]
    write: WriteArgs,
}

impl Run for GroupCommand {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        match self {
            Self::List => list(session),
            Self::Get { name } => get(session, &name),
            Self::Create(args) => args.run(session),
            Self::Update(args) => args.run(session),
            Self::Delete { name, write } => {
                session.write(&write, [&name], "group", "deleted", |client, options| {
                    client.delete(&Endpoint::group(&name), options)
                })
            }
        }
    }
}

fn list(session: &mut Session) -> Result<Ending, Failure> {
    let body = session.client.list(&Endpoint::groups(), None)?;
    let groups: Vec<Group> = view::items(&body)?;
    let empty = "there is no group yet: `refgate group create` makes one";
    session.output.list(&body, &groups, |group| group.name.clone(), table, empty)?;
    Ok(Ending::Done)
}

/// The table of groups, which `refgate status` shows as well.
pub(crate) fn table(groups: &[Group]) -> Table {
    let mut table = Table::new([
        Column::whole("GROUP"),
        Column::whole("REVISION"),
        Column::whole("HEAD"),
        Column::whole("SERVICES"),
        Column::words("GATEWAYS"),
        Column::words("PROMOTE FROM"),
        Column::spare("DESCRIPTION"),
        Column::words("PROBLEM"),
    ]);
    for group in groups {
        let gateways = match group.instances.total {
            0 => "none".to_owned(),
            total => format!("{}/{total} healthy", group.instances.healthy),
        };
        table.row([
            group.name.clone(),
            group.revision.to_string(),
            text::short_commit(&group.head).to_owned(),
            group.services.to_string(),
            gateways,
            group.promotion.from.join(", "),
            group.description.clone(),
            problem(group),
        ]);
    }
    table.without_empty_columns()
}

/// What keeps a group from being whole, in a line.
fn problem(group: &Group) -> String {
    match &group.damage {
        Some(damage) => format!("damaged: {damage}"),
        None => text::findings(&group.diagnostics),
    }
}

fn get(session: &mut Session, name: &GroupName) -> Result<Ending, Failure> {
    let answer = session.client.get(&Endpoint::group(name))?;
    let out = &mut session.output;
    match out.format() {
        Format::Json | Format::Yaml => out.document(&answer.body)?,
        Format::Name => out.line(name.as_str())?,
        Format::Table => {
            let group: Group = view::read(&answer.body)?;
            show(out, &group, answer.etag.as_deref())?;
        }
    }
    Ok(Ending::Done)
}

fn show(out: &mut Output, group: &Group, etag: Option<&str>) -> io::Result<()> {
    let variables: Vec<String> = group
        .variables
        .iter()
        .map(|(name, value)| format!("{name}={}", text::scalar(value)))
        .collect();
    let mut fields = Table::fields();
    fields
        .field("name", &group.name)
        .field("type", &group.r#type)
        .field("description", &group.description)
        .field("labels", text::labels(&group.labels))
        .field("variables", variables.join(", "))
        .field("promote from", group.promotion.from.join(", "))
        .field("direct edits", &group.promotion.direct_edits)
        .field("revision", group.revision.to_string())
        .field("head", &group.head)
        .field("services", group.services.to_string())
        .field(
            "gateways",
            format!("{} of {} healthy", group.instances.healthy, group.instances.total),
        )
        .field("problem", problem(group))
        .field("etag", etag.unwrap_or_default());
    out.table(&fields)
}

impl CreateArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let mut document = match &self.file {
            None => self.settings.document(),
            Some(source) => match input::document(source)? {
                Value::Object(document) => document,
                _ => return Err(input::unfit(source, "a group is an object").into()),
            },
        };
        if let Some(r#type) = &self.r#type {
            document.insert("type".to_owned(), json!(r#type));
        }
        document.insert("name".to_owned(), json!(self.name));
        let body = Value::Object(document);
        session.write(&self.write, [], "group", "created", |client, options| {
            client.post(&Endpoint::groups(), &body, options)
        })
    }
}

impl UpdateArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let patch = self.patch.or_flags(self.settings.document())?;
        session.write(&self.write, [&self.name], "group", "updated", |client, options| {
            client.patch(&Endpoint::group(&self.name), &patch, options)
        })
    }
}

//! `refgate instance`: gateway instances, as they check in with the control plane.

use std::str::FromStr;

use clap::Subcommand;
use refgate_core::name::GroupName;

use super::Run;
use super::args::GroupArg;
use super::failure::Failure;
use super::session::Session;
use super::status::problem;
use crate::client::WriteOptions;
use crate::client::endpoint::Endpoint;
use crate::client::view::{self, Gateway};
use crate::output::table::{Column, Table};
use crate::output::write::Ending;
use crate::output::{Format, text};

/// Verbs of instances.
#[derive(Debug, Subcommand)]
pub enum InstanceCommand {
    /// List the gateway instances of a group; without a group, all
    List {
        /// Gateway group
        #[arg(short = 'g', long = "group", value_name = "GROUP")]
        group: Option<GroupName>,
    },
    /// Forget an instance that will not come again
    ///
    /// One that is not heard of is told as lost after 30 seconds, and counts as an instance of its
    /// group for 7 days. One that runs is back with its next check-in.
    Remove {
        /// Which group.
        #[command(flatten)]
        group: GroupArg,
        /// Name of the instance
        #[arg(value_name = "INSTANCE")]
        instance: InstanceName,
    },
}

/// Name of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceName(String);

impl FromStr for InstanceName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@".contains(&byte);
        match (1..=128).contains(&text.len()) && text.bytes().all(known) {
            true => Ok(Self(text.to_owned())),
            false => Err("a name of an instance is letters, digits, `-`, `_`, `.`, `:`, `@`"),
        }
    }
}

impl Run for InstanceCommand {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        match self {
            Self::List { group } => list(session, group.as_ref()),
            Self::Remove { group, instance } => remove(session, &group.group, &instance),
        }
    }
}

fn list(session: &mut Session, group: Option<&GroupName>) -> Result<Ending, Failure> {
    if let Some(group) = group {
        // Of a group that is not there, the list would be empty.
        session.client.get(&Endpoint::group(group))?;
    }
    let body = session.client.list(&Endpoint::gateways().query_if("group", group), None)?;
    let instances: Vec<Gateway> = view::items(&body)?;
    let empty = match group {
        Some(group) => format!("no gateway of {group} has checked in"),
        None => "no gateway has checked in".to_owned(),
    };
    session.output.list(&body, &instances, |one| one.instance.clone(), table, &empty)?;
    Ok(Ending::Done)
}

fn table(instances: &[Gateway]) -> Table {
    let mut table = Table::new([
        Column::whole("INSTANCE"),
        Column::whole("GROUP"),
        Column::whole("STATE"),
        Column::words("SERVES"),
        Column::spare("VERSION"),
        Column::spare("STARTED"),
        Column::words("PROBLEM"),
    ]);
    for one in instances {
        let serves = one.commit.as_deref().map_or("nothing yet", text::short_commit);
        table.row([
            one.instance.clone(),
            one.group.clone(),
            one.state.clone(),
            serves.to_owned(),
            one.version.clone(),
            text::time(one.started_at.as_deref().unwrap_or_default()),
            problem(one),
        ]);
    }
    table.without_empty_columns()
}

fn remove(
    session: &mut Session,
    group: &GroupName,
    instance: &InstanceName,
) -> Result<Ending, Failure> {
    let InstanceName(name) = instance;
    let answer =
        session.client.delete(&Endpoint::gateway(group, name), &WriteOptions::default())?;
    let out = &mut session.output;
    match out.format() {
        Format::Json | Format::Yaml => out.document(&answer.body)?,
        Format::Table => out.line(format!("{group}: instance {name} removed"))?,
        Format::Name => out.line(name)?,
    }
    Ok(Ending::Done)
}

//! `refgate diff`: two versions of a service, what two groups run of it, or two groups as a whole.

use std::str::FromStr;

use clap::{Args, ValueEnum};
use refgate_core::name::{GroupName, ServiceName};
use refgate_core::view::Side;
use serde::Deserialize;
use serde_json::Value;

use super::Run;
use super::failure::Failure;
use super::session::Session;
use crate::client::endpoint::Endpoint;
use crate::client::view::{self, Change};
use crate::output::write::Ending;
use crate::output::{Format, changes};

/// Flags of `diff`.
#[derive(Debug, Args)]
#[command(override_usage = "refgate diff [OPTIONS] --from <SIDE> --to <SIDE> <SERVICE>
       refgate diff [OPTIONS] <group:NAME> <group:NAME>")]
#[command(after_help = "Examples:
  refgate diff httpbin --from group:production --to group:uat
  refgate diff group:production group:uat --only services")]
pub struct DiffArgs {
    /// Name of the service, or the group to start from (group:production)
    #[arg(value_name = "SERVICE|group:NAME")]
    subject: Subject,
    /// The group to end at, to compare two groups as a whole
    #[arg(value_name = "group:NAME")]
    other: Option<Subject>,
    /// Version (1.0.0) or group (group:uat) to start from
    #[arg(long, value_name = "SIDE", required_unless_present = "other")]
    from: Option<Side>,
    /// Version or group to end at
    #[arg(long, value_name = "SIDE", required_unless_present = "other")]
    to: Option<Side>,
    /// Of two groups, only what travels between them (services), or only hosts and nodes (runtime)
    #[arg(long, value_name = "WHAT", requires = "other")]
    only: Option<Only>,
}

/// A part of what sets two groups apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    Services,
    Runtime,
}

/// What is compared: a service, or a group as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Service(ServiceName),
    Group(GroupName),
}

impl FromStr for Subject {
    type Err = refgate_core::name::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("group:") {
            Some(group) => group.parse().map(Self::Group),
            None => text.parse().map(Self::Service),
        }
    }
}

impl DiffArgs {
    /// Where the answer comes from, and what is compared in words.
    fn endpoint(&self) -> Result<(Endpoint, String), Failure> {
        match (&self.subject, &self.other, &self.from, &self.to) {
            (Subject::Service(service), None, Some(from), Some(to)) => {
                let endpoint = Endpoint::across(service, "diff")
                    .query("from", &from.to_string())
                    .query("to", &to.to_string());
                Ok((endpoint, format!("{service}: {from} and {to}")))
            }
            (Subject::Group(from), Some(Subject::Group(to)), None, None) => {
                let endpoint = Endpoint::of_group(from, "diff").query("to", to.as_str()).query_if(
                    "services_only",
                    (self.only == Some(Only::Services)).then_some(&true),
                );
                let what = match self.only {
                    Some(Only::Services) => "the services of ",
                    Some(Only::Runtime) => "hosts and nodes of ",
                    None => "",
                };
                Ok((endpoint, format!("{what}group:{from} and group:{to}")))
            }
            _ => Err(Failure::Usage(
                "give a service with --from and --to, or two groups (group:uat group:production)"
                    .to_owned(),
            )),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Difference {
    changes: Vec<Change>,
}

impl Run for DiffArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let (endpoint, what) = self.endpoint()?;
        let mut answer = session.client.get(&endpoint)?;
        if let (Some(Only::Runtime), Some(Value::Array(changes))) =
            (self.only, answer.body.get_mut("changes"))
        {
            changes.retain(|change| is_runtime(change["file"].as_str().unwrap_or_default()));
        }
        let out = &mut session.output;
        let mut difference: Difference = view::read(&answer.body)?;
        // Hosts and nodes differ between any two groups: what is told first is what travels.
        difference.changes.sort_by_key(|change| {
            (is_runtime(&change.file), !change.file.starts_with("services/"))
        });
        match out.format() {
            Format::Json | Format::Yaml => out.document(&answer.body)?,
            Format::Name => {
                let mut files: Vec<_> =
                    difference.changes.iter().map(|change| change.file.as_str()).collect();
                files.dedup();
                files.iter().try_for_each(|file| out.line(file))?;
            }
            Format::Table if difference.changes.is_empty() => {
                out.note(format!("{what} are the same"))?;
            }
            Format::Table => changes::print(out, &difference.changes)?,
        }
        Ok(Ending::Done)
    }
}

fn is_runtime(file: &str) -> bool {
    file.starts_with("runtime/")
}

//! `refgate diff`: two versions of a service, what two groups run of it, or two groups as a whole.

use std::str::FromStr;

use clap::Args;
use refgate_core::name::{GroupName, ServiceName};
use refgate_core::view::Side;
use serde::Deserialize;

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
  refgate diff group:production group:uat --services-only")]
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
    /// Of two groups, leave out what belongs to a group: hosts, nodes, consumers, …
    #[arg(long, requires = "other")]
    services_only: bool,
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
                let endpoint = Endpoint::of_group(from, "diff")
                    .query("to", to.as_str())
                    .query_if("services_only", self.services_only.then_some(&true));
                let what = if self.services_only { "the services of " } else { "" };
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
        let answer = session.client.get(&endpoint)?;
        let out = &mut session.output;
        let difference: Difference = view::read(&answer.body)?;
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

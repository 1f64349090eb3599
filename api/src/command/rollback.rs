//! `refgate rollback`: an older version of a service, or an older state of a whole group.

use clap::{ArgGroup, Args};
use refgate_core::name::ServiceName;
use refgate_core::version::Version;
use serde_json::{Map, Value, json};

use super::Run;
use super::args::{GroupArg, WriteArgs};
use super::commit::CommitArg;
use super::failure::Failure;
use super::session::Session;
use crate::client::endpoint::Endpoint;
use crate::output::write::Ending;

/// Flags of `rollback`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("target").required(true).args(["to", "revision", "commit"]))]
#[command(after_help = "Examples:
  refgate rollback httpbin -g production --to 1.0.0
  refgate rollback -g production --revision 12 --dry-run")]
pub struct RollbackArgs {
    /// Service to bring back to an older version; without it, the whole group
    #[arg(value_name = "SERVICE", requires = "to", conflicts_with_all = ["revision", "commit"])]
    service: Option<ServiceName>,
    #[command(flatten)]
    group: GroupArg,
    /// Version of the service
    #[arg(long, value_name = "VERSION", requires = "service")]
    to: Option<Version>,
    /// Revision of the group
    #[arg(long, value_name = "NUMBER")]
    revision: Option<u64>,
    /// Commit of the group, as short as tables show it
    #[arg(long, value_name = "COMMIT")]
    commit: Option<CommitArg>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    write: WriteArgs,
}

impl Run for RollbackArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let mut body = Map::new();
        if let Some(version) = &self.to {
            body.insert("version".to_owned(), json!(version.to_string()));
        }
        if let Some(revision) = self.revision {
            body.insert("revision".to_owned(), json!(revision));
        }
        if let Some(commit) = &self.commit {
            let commit = commit.resolve(session, &self.group.group)?;
            body.insert("commit".to_owned(), json!(commit.to_string()));
        }
        if let Some(reason) = &self.reason {
            body.insert("reason".to_owned(), json!(reason));
        }
        let group = &self.group.group;
        let (endpoint, subject) = match &self.service {
            Some(service) => {
                (Endpoint::of_service(group, service, "rollback"), format!("service {service}"))
            }
            None => (Endpoint::of_group(group, "rollback"), "group".to_owned()),
        };
        let body = Value::Object(body);
        session.write(&self.write, [group], &subject, "rolled back", |client, options| {
            client.post(&endpoint, &body, options)
        })
    }
}

//! `refgate wait`: until the gateways of a group serve a commit.

use clap::Args;
use refgate_core::name::CommitId;

use super::Run;
use super::args::{GroupArg, LONGEST_WAIT};
use super::commit::CommitArg;
use super::failure::Failure;
use super::session::Session;
use crate::client::endpoint::Endpoint;
use crate::client::view::{self, Convergence};
use crate::output::write::Ending;
use crate::output::{Format, text};

/// Flags of `wait`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  git push && refgate wait -g test --commit $(git rev-parse HEAD)
  refgate wait -g production --timeout 0      (who serves the head now)")]
pub struct WaitArgs {
    #[command(flatten)]
    group: GroupArg,
    /// Commit of the group; without it, its head
    #[arg(long, value_name = "COMMIT")]
    commit: Option<CommitArg>,
    /// At most so many seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(..=LONGEST_WAIT)
    )]
    timeout: u64,
}

impl Run for WaitArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let group = &self.group.group;
        let commit: Option<CommitId> = match &self.commit {
            Some(commit) => Some(commit.resolve(session, group)?),
            None => None,
        };
        let endpoint = Endpoint::of_group(group, "convergence").query_if("commit", commit.as_ref());
        let answer = session.client.get_waiting(&endpoint, group, self.timeout)?;
        let convergence: Convergence = view::read(&answer.body)?;
        let out = &mut session.output;
        match out.format() {
            Format::Json | Format::Yaml => out.document(&answer.body)?,
            Format::Name => convergence
                .pending
                .iter()
                .try_for_each(|pending| out.line(text::instance(pending)))?,
            Format::Table if convergence.total == 0 => {
                out.note(format!("no gateway of {group} has checked in"))?;
            }
            Format::Table => {
                let served = text::served(&convergence);
                out.sentence(None, &format!("{group}: {served}"))?;
            }
        }
        Ok(if convergence.pending.is_empty() { Ending::Done } else { Ending::Failed })
    }
}

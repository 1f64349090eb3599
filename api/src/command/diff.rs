//! `refgate diff`: two versions of a service, or what two groups run.

use clap::Args;
use refgate_core::name::ServiceName;
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
#[command(after_help = "Example:
  refgate diff httpbin --from group:production --to group:uat")]
pub struct DiffArgs {
    /// Name of the service
    service: ServiceName,
    /// Version (1.0.0) or group (group:uat) to start from
    #[arg(long, value_name = "SIDE")]
    from: Side,
    /// Version or group to end at
    #[arg(long, value_name = "SIDE")]
    to: Side,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Difference {
    changes: Vec<Change>,
}

impl Run for DiffArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let endpoint = Endpoint::across(&self.service, "diff")
            .query("from", &self.from.to_string())
            .query("to", &self.to.to_string());
        let answer = session.client.get(&endpoint)?;
        let out = &mut session.output;
        let difference: Difference = view::read(&answer.body)?;
        match out.format() {
            Format::Json => out.json(&answer.body)?,
            Format::Name => {
                let mut files: Vec<_> =
                    difference.changes.iter().map(|change| change.file.as_str()).collect();
                files.dedup();
                files.iter().try_for_each(|file| out.line(file))?;
            }
            Format::Table if difference.changes.is_empty() => {
                out.note(format!("{}: {} and {} are the same", self.service, self.from, self.to))?;
            }
            Format::Table => changes::print(out, &difference.changes)?,
        }
        Ok(Ending::Done)
    }
}

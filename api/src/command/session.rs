//! One command's connection and screen, and how it ends.

use refgate_core::document::group::is_production;
use refgate_core::name::GroupName;

use super::args::{Connection, WriteArgs};
use super::failure::{self, Failure};
use crate::client::endpoint::Endpoint;
use crate::client::view::{self, Group};
use crate::client::{Answer, Client, ClientError, WriteOptions};
use crate::output::progress::Progress;
use crate::output::write::Ending;
use crate::output::{Format, Output, problem, write};

/// What a command works with.
#[derive(Debug)]
pub struct Session {
    /// The control plane.
    pub client: Client,
    /// The screen, or the pipe.
    pub output: Output,
}

impl Session {
    /// A session; nothing is sent yet.
    ///
    /// # Errors
    /// When the servers and tokens of this user are asked for and cannot be read.
    pub fn new(connection: &Connection, output: Output) -> Result<Self, Failure> {
        let (server, token) = connection.resolve()?;
        let client = Client::new(server, token).watched(|groups| {
            Progress::begin(groups).map(|progress| -> Box<dyn std::any::Any> { Box::new(progress) })
        });
        Ok(Self { client, output })
    }

    /// Makes a change, or plans it, and shows what came of it. `groups` are those that it changes,
    /// `subject` what is written, `verb` what is done to it.
    ///
    /// Before a group of production changes, whoever sits at the terminal sees the plan and is
    /// asked; the change is made only when it still does what the plan says.
    ///
    /// # Errors
    /// When the change was refused or not confirmed, or the answer cannot be understood or shown.
    pub fn write<'a>(
        &mut self,
        args: &WriteArgs,
        groups: impl IntoIterator<Item = &'a GroupName>,
        subject: &str,
        verb: &str,
        send: impl Fn(&Client, &WriteOptions) -> Result<Answer, ClientError>,
    ) -> Result<Ending, Failure> {
        let answer = match self.send(args, groups, subject, send)? {
            Sent::Answered(answer) => answer,
            Sent::Refused(ending) => return Ok(ending),
        };
        Ok(write::print(&mut self.output, &answer, subject, verb)?)
    }

    /// The same without showing the answer.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(super) fn send<'a>(
        &mut self,
        args: &WriteArgs,
        groups: impl IntoIterator<Item = &'a GroupName>,
        subject: &str,
        send: impl Fn(&Client, &WriteOptions) -> Result<Answer, ClientError>,
    ) -> Result<Sent, Failure> {
        let groups: Vec<&GroupName> = groups.into_iter().collect();
        let mut options = args.options();
        if options.wait.is_some() {
            options.waits_for = groups.iter().copied().cloned().collect();
        }
        if self.output.can_ask() && !args.yes && !args.dry_run {
            let production = self.production(groups)?;
            let mut asks = !production.is_empty();
            if asks {
                if self.output.format() == Format::Table {
                    let plan = WriteOptions {
                        dry_run: true,
                        wait: None,
                        waits_for: Vec::new(),
                        ..options.clone()
                    };
                    let plan = send(&self.client, &plan)?;
                    // What was shown is what is done, or nothing is.
                    options.expect_plan = write::plans(&plan);
                    asks = !write::is_current(&plan);
                    // What was refused in one group is refused when it is done as well.
                    match write::preview(&mut self.output, &plan)? {
                        Ending::Done => {}
                        refused => {
                            self.output.note("nothing was changed")?;
                            return Ok(Sent::Refused(refused));
                        }
                    }
                }
                let question = format!("Change {} ({subject})?", production.join(" and "));
                if asks && !self.output.ask(&question)? {
                    return Err(Failure::Declined);
                }
            }
        }
        Ok(Sent::Answered(send(&self.client, &options)?))
    }

    /// Those of the groups that are production.
    fn production<'a>(
        &self,
        groups: impl IntoIterator<Item = &'a GroupName>,
    ) -> Result<Vec<String>, Failure> {
        let mut production = Vec::new();
        for name in groups {
            let group: Group = match self.client.get(&Endpoint::group(name)) {
                Ok(answer) => view::read(&answer.body)?,
                // The write itself says what is wrong with a group that is not there.
                Err(ClientError::Refused(_)) => Group::default(),
                Err(error) => return Err(error.into()),
            };
            if is_production(name.as_str(), group.labels.get("env").map(String::as_str)) {
                production.push(name.to_string());
            }
        }
        Ok(production)
    }

    /// Shows a failure, if any, and gives the exit code.
    #[must_use]
    pub fn finish(mut self, result: Result<Ending, Failure>) -> u8 {
        let failure = match result {
            Ok(ending) => return failure::code_of(ending),
            Err(failure) => failure,
        };
        let code = failure.exit_code();
        if failure.is_silent() {
            return code;
        }
        let had_token = self.client.has_token();
        // Where even standard error is closed, the exit code alone has to tell.
        let _ = match &failure {
            Failure::Client(error) => {
                if let ClientError::Refused(refused) = error
                    && self.output.format().is_document()
                {
                    let _ = self.output.document(&refused.body);
                }
                problem::print_client(&mut self.output, error, had_token)
            }
            other => self.output.note(format!("error: {}", failure::chain(other))),
        };
        code
    }
}

/// How far a change came.
pub(super) enum Sent {
    /// It was answered.
    Answered(Answer),
    /// The plan was refused already, and that was shown.
    Refused(Ending),
}

//! One command's connection and screen, and how it ends.

use super::args::Connection;
use super::failure::{self, Failure};
use crate::client::{Answer, Client, ClientError};
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
    #[must_use]
    pub fn new(connection: Connection, output: Output) -> Self {
        let token = connection.token.and_then(|given| given.0);
        Self { client: Client::new(connection.server, token), output }
    }

    /// Shows what a write did. `subject` is what was written, `verb` what was done to it.
    ///
    /// # Errors
    /// When the answer cannot be understood or shown.
    pub fn written(
        &mut self,
        answer: &Answer,
        subject: &str,
        verb: &str,
    ) -> Result<Ending, Failure> {
        Ok(write::print(&mut self.output, answer, subject, verb)?)
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
                if let (ClientError::Refused(refused), Format::Json) = (error, self.output.format())
                {
                    let _ = self.output.json(&refused.body);
                }
                problem::print_client(self.output.messages(), error, had_token)
            }
            other => self.output.note(format!("error: {}", failure::chain(other))),
        };
        code
    }
}

//! What can go wrong with a command, and the exit code that it ends with.

use std::error::Error;
use std::io;

use super::commit::CommitError;
use super::contexts::ContextsError;
use super::input::InputError;
use crate::client::view::ShapeError;
use crate::client::{ClientError, problem};
use crate::output::write::{Ending, WriteError};

/// Done as asked.
pub const DONE: u8 = 0;
/// Refused, or failed.
pub const FAILED: u8 = 1;
/// The command line itself is wrong; clap ends with this code as well.
pub const USAGE: u8 = 2;
/// Somebody else's change is in the way: HTTP 409 and 412.
pub const CONFLICT: u8 = 3;

/// Why a command did not do what it says.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Flags that do not go together in a way that clap cannot see.
    #[error("{0}")]
    Usage(String),
    /// A file that cannot be read or understood.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A commit that was typed is not there.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The servers and tokens of this user cannot be read or kept.
    #[error(transparent)]
    Contexts(#[from] ContextsError),
    /// Somebody was asked and did not say yes.
    #[error("not confirmed: nothing was changed")]
    Declined,
    /// The control plane refused, or did not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The answer cannot be shown.
    #[error("cannot write the answer")]
    Output(#[from] io::Error),
    /// A program (`up`, `serve`, `gateway`) could not start, or did not end well.
    #[error(transparent)]
    Program(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// A program that failed.
    pub fn program(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Program(error.into())
    }

    /// The code that the process ends with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Client(ClientError::Refused(problem)) => refused(problem),
            // Whoever reads the answer has seen enough of it; `refgate … | head` is no failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => DONE,
            Self::Contexts(ContextsError::Unknown { .. }) => USAGE,
            Self::Input(_)
            | Self::Commit(_)
            | Self::Contexts(_)
            | Self::Declined
            | Self::Client(_)
            | Self::Output(_)
            | Self::Program(_) => FAILED,
        }
    }

    /// Whether anybody needs to be told.
    pub(crate) fn is_silent(&self) -> bool {
        self.exit_code() == DONE
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Client(error) => Self::Client(error),
            WriteError::Output(error) => Self::Output(error),
        }
    }
}

impl From<ShapeError> for Failure {
    fn from(error: ShapeError) -> Self {
        Self::Client(error.into())
    }
}

fn refused(problem: &problem::Problem) -> u8 {
    if problem.is_conflict() { CONFLICT } else { FAILED }
}

/// The code for a write that was answered.
#[must_use]
pub fn code_of(ending: Ending) -> u8 {
    match ending {
        Ending::Done => DONE,
        Ending::Failed => FAILED,
        Ending::Conflict => CONFLICT,
    }
}

/// An error with everything that caused it, on one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat their source in their own text.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Ends a command that talks to nobody: shows its failure, if any, and gives the exit code.
#[must_use]
pub fn report(result: Result<(), Failure>) -> u8 {
    match result {
        Ok(()) => DONE,
        Err(failure) => {
            if !failure.is_silent() {
                eprintln!("error: {}", chain(&failure));
            }
            failure.exit_code()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::client::problem::Problem;

    #[test]
    fn exit_codes() {
        let refused = |status: u16| {
            let problem = Problem::from_answer(status, json!({"code": "x", "status": status}));
            Failure::Client(ClientError::Refused(Box::new(problem.expect("a problem"))))
        };
        let unreachable = ClientError::Unreachable { server: String::new(), reason: String::new() };
        let table = [
            (refused(400), FAILED),
            (refused(401), FAILED),
            (refused(404), FAILED),
            (refused(409), CONFLICT),
            (refused(412), CONFLICT),
            (refused(422), FAILED),
            (refused(500), FAILED),
            (refused(503), FAILED),
            (Failure::Client(unreachable), FAILED),
            (Failure::Usage("x".to_owned()), USAGE),
            (Failure::Output(io::ErrorKind::StorageFull.into()), FAILED),
            (Failure::Output(io::ErrorKind::BrokenPipe.into()), DONE),
            (Failure::program("x"), FAILED),
        ];
        for (failure, code) in table {
            assert_eq!(failure.exit_code(), code, "{failure:?}");
        }
    }

    #[test]
    fn a_chain_names_every_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot start")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("port taken"));
        assert_eq!(chain(&error), "cannot start: port taken");
        assert_eq!(chain(&Failure::program(error)), "cannot start: port taken");
    }
}

//! `refgate hook`: what git runs when somebody pushes to the configuration repository.
//!
//! The scripts beside the repository call this; people do not. It needs no control plane: a push by
//! path or ssh is checked like one that comes over HTTP. What is told goes to standard error, which
//! git shows to whoever pushes; git colours lines that begin with `error:`, `warning:` or `hint:`.
//!
//! The check itself is the core's ([`refgate_core::push`]); [`proc_receive`] speaks git's protocol
//! for promotions, [`report`] tells what came of a push.

mod proc_receive;
mod report;

use std::env;
use std::io::{self, BufRead as _};
use std::path::PathBuf;
use std::str::FromStr;

use clap::Subcommand;
use jiff::Timestamp;
use refgate_core::push::{self, Finding, Push, Pusher, Update};

use super::failure;
use crate::auth::Role;

/// Findings that are told of one push.
const MOST: usize = 50;

/// The hooks that Refgate has.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum HookCommand {
    /// Check a push, before anything moves
    PreReceive,
    /// Promote what was pushed to refs/for/GROUP
    ProcReceive,
    /// Tell what came of a push
    PostReceive,
}

/// Why a hook could not do its work; the push is refused then.
#[derive(Debug, thiserror::Error)]
pub(super) enum HookError {
    /// It was not git that started it.
    #[error("this is run by git, in a repository that somebody pushes to: {0} is not set")]
    NotAHook(&'static str),
    /// What git says cannot be read.
    #[error("git cannot be understood: {0}")]
    Protocol(String),
    /// Input or output failed.
    #[error("git cannot be talked to: {0}")]
    Io(#[from] io::Error),
    /// The repository cannot be used, or refuses.
    #[error(transparent)]
    Core(#[from] refgate_core::Error),
}

/// What is known about a push from the environment.
struct Setting {
    /// The repository.
    repository: PathBuf,
    pusher: Pusher,
    request_id: Option<String>,
}

impl Setting {
    fn from_environment() -> Result<Self, HookError> {
        let git_dir = env::var_os("GIT_DIR").ok_or(HookError::NotAHook("GIT_DIR"))?;
        let repository = PathBuf::from(git_dir).canonicalize()?;
        // A control plane says who has the token that was given. Whoever comes another way has access
        // to the files, and is known by the name of the account.
        let text = |name| env::var(name).ok().filter(|text| !text.trim().is_empty());
        let pusher = match text("REFGATE_PUSHER") {
            Some(name) => {
                // A role that is none, such as a misspelt one, is not an administrator's.
                let is_admin =
                    |role: String| Role::from_str(&role).is_ok_and(|role| role == Role::Admin);
                let may_manage_groups = text("REFGATE_PUSHER_ROLE").is_none_or(is_admin);
                Pusher { name, may_manage_groups }
            }
            None => {
                let account = text("USER").or_else(|| text("LOGNAME"));
                let name = account.unwrap_or_else(|| "unknown".to_owned());
                Pusher { name, may_manage_groups: true }
            }
        };
        Ok(Self { repository, pusher, request_id: text("REFGATE_REQUEST_ID") })
    }
}

impl HookCommand {
    /// Runs the hook, and gives the exit code.
    pub(crate) fn run(self) -> u8 {
        let result = match self {
            Self::PreReceive => pre_receive(),
            Self::ProcReceive => proc_receive::run(),
            Self::PostReceive => report::run(),
        };
        match result {
            Ok(true) => failure::DONE,
            Ok(false) => failure::FAILED,
            Err(error) => {
                say(&format!("error: {error}"));
                failure::FAILED
            }
        }
    }
}

/// Checks the push that is described on standard input.
fn pre_receive() -> Result<bool, HookError> {
    let setting = Setting::from_environment()?;
    let push = Push {
        updates: updates()?,
        pusher: setting.pusher,
        request_id: setting.request_id,
        quarantine: env::var_os("GIT_QUARANTINE_PATH").map(PathBuf::from),
    };
    let findings = push::check(&setting.repository, &push, Timestamp::now())?;
    push::lines(&findings, MOST).iter().for_each(|line| say(line));
    let refused = findings.iter().any(Finding::is_error);
    if refused {
        say("error: the push was refused; nothing was changed");
    }
    Ok(!refused)
}

/// The updates on standard input, one on each line.
fn updates() -> Result<Vec<Update>, HookError> {
    let mut updates = Vec::new();
    for line in io::stdin().lock().split(b'\n') {
        let line = String::from_utf8(line?)
            .map_err(|_| HookError::Protocol("a ref is not UTF-8".to_owned()))?;
        let update = line.parse::<Update>();
        updates.push(update.map_err(|error| HookError::Protocol(error.to_string()))?);
    }
    Ok(updates)
}

/// Says a line to whoever pushes; that nobody listens any more changes nothing.
fn say(line: &str) {
    use io::Write as _;
    let _ = writeln!(io::stderr().lock(), "{line}");
}

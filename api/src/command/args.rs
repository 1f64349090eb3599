//! Flags that several commands share, and the texts that they take.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use refgate_core::name::GroupName;
use serde_json::{Map, Value};

use super::contexts::ContextName;
use super::failure::Failure;
use super::input::{self, Source};
use crate::client::WriteOptions;
use crate::client::server::{ServerUrl, Token, TokenError};
use crate::output::Format;

/// Where to ask, and how to show the answer.
#[derive(Debug, Args)]
pub struct Connection {
    /// Address of the control plane; without it, that of `refgate login`, or http://127.0.0.1:7080
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "REFGATE_SERVER",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    pub server: Option<ServerUrl>,
    /// Token that the control plane knows; better in the environment than in the shell's history
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "REFGATE_TOKEN",
        hide_env_values = true,
        value_parser = token,
        help_heading = "Connection"
    )]
    pub token: Option<GivenToken>,
    /// Server and token that `refgate login` keeps under this name; counts before --server and
    /// --token
    #[arg(long, global = true, value_name = "NAME", help_heading = "Connection")]
    pub context: Option<ContextName>,
    /// Where `refgate login` keeps servers and tokens, in the place of the user's configuration
    /// directory
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "REFGATE_CONTEXTS",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    pub contexts: Option<PathBuf>,
    /// What the answer looks like
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value = "table",
        help_heading = "Connection"
    )]
    pub output: Format,
}

/// A token as it was given: an empty one, such as that of a variable that is set to nothing, is
/// none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenToken(pub Option<Token>);

fn token(text: &str) -> Result<GivenToken, TokenError> {
    match text.trim() {
        "" => Ok(GivenToken(None)),
        text => text.parse().map(|token| GivenToken(Some(token))),
    }
}

/// A command that asks a control plane.
#[derive(Debug, Args)]
pub struct Remote<A: Args> {
    /// The command's own flags.
    #[command(flatten)]
    pub args: A,
    /// Where to ask.
    #[command(flatten)]
    pub connection: Connection,
}

/// A noun whose verbs ask a control plane.
#[derive(Debug, Args)]
pub struct RemoteNoun<C: Subcommand> {
    /// What to do with it.
    #[command(subcommand)]
    pub command: C,
    /// Where to ask.
    #[command(flatten)]
    pub connection: Connection,
}

/// The group that a command is about.
#[derive(Debug, Clone, Args)]
pub struct GroupArg {
    /// Gateway group
    #[arg(short = 'g', long = "group", value_name = "GROUP")]
    pub group: GroupName,
}

/// The seconds that a control plane waits at the most.
pub(super) const LONGEST_WAIT: u64 = 300;
/// The seconds of a `--wait` without a number.
const WAIT: &str = "60";

/// The words of a line, in which a `--wait` takes nothing but a number for its own: what follows it
/// may as well be the first name.
pub(super) fn with_bare_waits(line: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let is_number = |word: &OsString| word.to_str().is_some_and(|word| word.parse::<u64>().is_ok());
    let mut line = line.into_iter().peekable();
    let mut words = Vec::new();
    let mut flags = true;
    while let Some(word) = line.next() {
        flags &= word != "--";
        if flags && word == "--wait" && line.peek().is_some_and(|next| !is_number(next)) {
            words.push(format!("--wait={WAIT}").into());
        } else {
            words.push(word);
        }
    }
    words
}

/// Flags of every write.
#[derive(Debug, Clone, Default, Args)]
pub struct WriteArgs {
    /// Show what would change, and change nothing
    #[arg(long, help_heading = "Writing")]
    pub dry_run: bool,
    /// Wait until every healthy gateway of the group serves the change, at most so long; 60 when no
    /// number follows
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = WAIT,
        value_parser = clap::value_parser!(u64).range(..=LONGEST_WAIT),
        conflicts_with = "dry_run",
        help_heading = "Writing"
    )]
    pub wait: Option<u64>,
    /// Change a group labelled env=production without asking; where nobody sits at a terminal,
    /// nothing is ever asked
    #[arg(short, long, help_heading = "Writing")]
    pub yes: bool,
    /// Write only when the object still has this ETag
    #[arg(long, value_name = "ETAG", value_parser = etag, help_heading = "Writing")]
    pub if_match: Option<String>,
}

impl WriteArgs {
    /// What the client sends of them.
    #[must_use]
    pub fn options(&self) -> WriteOptions {
        WriteOptions {
            dry_run: self.dry_run,
            wait: self.wait,
            if_match: self.if_match.clone(),
            ..WriteOptions::default()
        }
    }
}

/// A merge patch, from a file or from the command line.
#[derive(Debug, Clone, Default, Args)]
pub struct PatchArgs {
    /// Merge patch (RFC 7396) as JSON or YAML; `-` reads standard input
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "patch")]
    pub file: Option<Source>,
    /// Merge patch as JSON, such as '{"priority": 5}'
    #[arg(short = 'p', long, value_name = "JSON")]
    pub patch: Option<String>,
}

impl PatchArgs {
    /// The patch: from `-f`, from `-p`, or made of the command's own flags. Exactly one of them.
    ///
    /// # Errors
    /// When there is none or several, or the document cannot be read.
    pub fn or_flags(&self, flags: Map<String, Value>) -> Result<Value, Failure> {
        let patch = match (&self.file, &self.patch) {
            (Some(source), _) => Some(input::document(source)?),
            (None, Some(text)) => {
                let mut documents = input::parse("--patch", text, input::Format::Json)?;
                documents.pop()
            }
            (None, None) => None,
        };
        match (patch, flags.is_empty()) {
            (Some(patch), true) => Ok(patch),
            (None, false) => Ok(Value::Object(flags)),
            (None, true) => {
                Err(Failure::Usage("nothing to change: give flags, -f FILE or -p JSON".to_owned()))
            }
            (Some(_), false) => Err(Failure::Usage(
                "the patch is either in -f or -p, or in flags, not in both".to_owned(),
            )),
        }
    }
}

/// `KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What stands before the first `=`.
    pub key: String,
    /// Everything after it.
    pub value: String,
}

impl FromStr for Pair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            _ => Err("expected KEY=VALUE"),
        }
    }
}

/// Pairs as a JSON object; of a repeated key the last one counts.
#[must_use]
pub fn object_of(pairs: &[Pair]) -> Value {
    let pairs = pairs.iter().map(|pair| (pair.key.clone(), pair.value.clone().into()));
    Value::Object(pairs.collect())
}

/// An entity tag that can be sent: no line breaks, no invisible characters.
fn etag(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("an ETag is printable ASCII without spaces")
    }
}

/// The methods that a route can name.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE"];

/// A method, in either case.
pub(crate) fn method(text: &str) -> Result<String, String> {
    let method = text.to_ascii_uppercase();
    if METHODS.contains(&method.as_str()) {
        Ok(method)
    } else {
        Err(format!("methods are {}", METHODS.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs() {
        let pair = |key: &str, value: &str| Pair { key: key.to_owned(), value: value.to_owned() };
        assert_eq!("a=b".parse(), Ok(pair("a", "b")));
        assert_eq!("a=b=c".parse(), Ok(pair("a", "b=c")));
        assert_eq!("a=".parse(), Ok(pair("a", "")));
        for text in ["", "a", "=b"] {
            assert!(text.parse::<Pair>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn methods_are_typed_in_either_case() {
        assert_eq!(method("get"), Ok("GET".to_owned()));
        assert!(method("FETCH").is_err_and(|error| error.contains("PURGE")));
    }

    #[test]
    fn an_empty_token_is_none() {
        assert_eq!(token(" \n"), Ok(GivenToken(None)));
        assert!(token("secret\n").is_ok_and(|token| token.0.is_some()));
        assert!(token("a b").is_err());
    }

    #[test]
    fn etags() {
        assert_eq!(etag("\"abc\""), Ok("\"abc\"".to_owned()));
        assert!(etag("a\r\nb").is_err() && etag("").is_err());
    }
}

//! `refgate login`, `use`, `logout`: the servers that this user works with.

use std::io::{self, BufRead, IsTerminal};

use clap::Args;
use serde_json::{Value, json};

use super::args::Connection;
use super::contexts::{Context, ContextName, Contexts};
use super::failure::{self, Failure};
use crate::client::endpoint::Endpoint;
use crate::client::server::Token;
use crate::client::{Client, ClientError};
use crate::output::table::Table;
use crate::output::{Output, problem};

/// Flags of `login`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refgate login --server http://127.0.0.1:7080 < refgate-data/admin-token
  refgate login production --server https://gateway.example.com
  refgate status --context production")]
pub struct LoginArgs {
    /// Name to keep the server under; without it, its host and port
    #[arg(value_name = "NAME")]
    name: Option<ContextName>,
    /// Show the servers that are kept
    #[arg(long, conflicts_with = "name")]
    list: bool,
}

/// Flags of `use`.
#[derive(Debug, Args)]
pub struct UseArgs {
    /// Name that the server is kept under
    #[arg(value_name = "NAME")]
    name: ContextName,
}

/// Flags of `logout`.
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// Name that the server is kept under; without it, the one in use
    #[arg(value_name = "NAME")]
    name: Option<ContextName>,
}

/// A command about what is kept, which asks a server at most whether it knows a token.
pub(super) trait Keeping {
    /// Does it.
    fn run(self, connection: &Connection, output: &mut Output) -> Result<(), Failure>;
}

/// Runs it and gives the exit code.
pub(super) fn keep(connection: &Connection, command: impl Keeping, mut output: Output) -> u8 {
    let Err(failure) = command.run(connection, &mut output) else { return failure::DONE };
    if !failure.is_silent() {
        // Where even standard error is closed, the exit code alone has to tell.
        let _ = match &failure {
            Failure::Client(error) => problem::print_client(&mut output, error, true),
            other => output.note(format!("error: {}", failure::chain(other))),
        };
    }
    failure.exit_code()
}

impl Keeping for LoginArgs {
    fn run(self, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
        let path = connection.contexts_file()?;
        let mut contexts = Contexts::load(&path)?;
        if self.list {
            return list(&contexts, output);
        }
        let known = self.name.as_ref().and_then(|name| contexts.all.get(name));
        let server = match (&connection.server, known) {
            (Some(server), _) => server.clone(),
            (None, Some(context)) => context.server.clone(),
            (None, None) => {
                let message = "which server? give its address with --server URL";
                return Err(Failure::Usage(message.to_owned()));
            }
        };
        let name = match self.name {
            Some(name) => name,
            None => server.authority().parse().map_err(|rule: &str| {
                Failure::Usage(format!("the server needs a NAME of its own: {rule}"))
            })?,
        };
        let token = match connection.token.as_ref().and_then(|given| given.0.clone()) {
            Some(token) => token,
            None => typed(&server.to_string(), output)?,
        };
        // What does not open the server is not kept.
        let client = Client::new(server.clone(), Some(token.clone()));
        match client.get(&Endpoint::groups().query("limit", "1")) {
            Ok(_) => {}
            // A token that may do other things is known all the same.
            Err(ClientError::Refused(problem)) if problem.status == 403 => {}
            Err(error) => return Err(error.into()),
        }
        output.note(format!("logged in to {server}; kept as {name} in {}", path.display()))?;
        contexts.all.insert(name.clone(), Context { server, token: Some(token) });
        contexts.current = Some(name);
        Ok(contexts.save(&path)?)
    }
}

/// A token from standard input; a terminal does not show it.
fn typed(server: &str, output: &mut Output) -> Result<Token, Failure> {
    let line = if io::stdin().is_terminal() {
        write!(output.messages(), "Token for {server}: ")?;
        output.messages().flush()?;
        console::Term::stderr().read_secure_line()?
    } else {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        line
    };
    line.parse().map_err(|error| {
        Failure::Usage(format!("{error}: give it with REFGATE_TOKEN, or on standard input"))
    })
}

fn list(contexts: &Contexts, output: &mut Output) -> Result<(), Failure> {
    let is_current = |name: &ContextName| contexts.current.as_ref() == Some(name);
    let item = |(name, context): (&ContextName, &Context)| {
        json!({
            "name": name.as_str(),
            "server": context.server.to_string(),
            "current": is_current(name),
            "token": context.token.is_some(),
        })
    };
    let items: Vec<Value> = contexts.all.iter().map(item).collect();
    let names: Vec<&ContextName> = contexts.all.keys().collect();
    let table = |names: &[&ContextName]| {
        let mut table = Table::new(["NAME", "SERVER", "IN USE"]);
        for name in names {
            let server = contexts.all.get(name).map(|context| context.server.to_string());
            let mark = if is_current(name) { "yes" } else { "" };
            table.row([name.to_string(), server.unwrap_or_default(), mark.to_owned()]);
        }
        table
    };
    let body = json!({"items": items, "next": null});
    let empty = "no server is kept: `refgate login --server URL` keeps one";
    Ok(output.list(&body, &names, ToString::to_string, table, empty)?)
}

impl Keeping for UseArgs {
    fn run(self, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
        let path = connection.contexts_file()?;
        let mut contexts = Contexts::load(&path)?;
        let server = contexts.named(&self.name)?.server.clone();
        output.note(format!("{} is in use: {server}", self.name))?;
        if connection.server.as_ref().is_some_and(|other| *other != server) {
            output.note("REFGATE_SERVER or --server still counts before it")?;
        }
        contexts.current = Some(self.name);
        Ok(contexts.save(&path)?)
    }
}

impl Keeping for LogoutArgs {
    fn run(self, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
        let path = connection.contexts_file()?;
        let mut contexts = Contexts::load(&path)?;
        let Some(name) = self.name.or_else(|| contexts.current.clone()) else {
            return Ok(output.note("no server is in use: there is nothing to forget")?);
        };
        contexts.named(&name)?;
        contexts.all.remove(&name);
        if contexts.current.as_ref() == Some(&name) {
            contexts.current = None;
        }
        contexts.save(&path)?;
        Ok(output.note(format!(
            "{name} is forgotten; its token still opens the server until it is revoked"
        ))?)
    }
}

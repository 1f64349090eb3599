//! `refgate token`: who may do what.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use super::Run;
use super::failure::Failure;
use super::session::Session;
use crate::auth::{Role, TokenName};
use crate::client::WriteOptions;
use crate::client::endpoint::Endpoint;
use crate::client::view;
use crate::output::Format;
use crate::output::table::Table;
use crate::output::write::Ending;

/// Verbs of tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// List all tokens; what is listed opens nothing
    List,
    /// Make a token; it is printed this once and kept nowhere
    Create {
        /// Its name, which stands in the history of what is done with it
        #[arg(value_name = "NAME")]
        name: TokenName,
        /// What it may do: gateway fetches configurations and checks in, viewer reads and clones,
        /// editor also writes and pushes, admin also manages groups and tokens
        #[arg(long, value_name = "ROLE", value_parser = ["gateway", "viewer", "editor", "admin"])]
        role: String,
    },
    /// Take a token away; it opens nothing from then on
    Revoke {
        /// Its name
        #[arg(value_name = "NAME")]
        name: TokenName,
    },
}

/// A token in a list.
#[derive(Debug, Deserialize)]
struct Listed {
    name: String,
    role: Role,
    created_at: String,
}

/// A token that was just made.
#[derive(Debug, Deserialize)]
struct Made {
    token: String,
}

impl Run for TokenCommand {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        match self {
            Self::List => list(session),
            Self::Create { name, role } => {
                let body = json!({"name": name.as_str(), "role": role});
                let options = WriteOptions::default();
                let answer = session.client.post(&Endpoint::tokens(), &body, &options)?;
                let out = &mut session.output;
                match out.format() {
                    Format::Json | Format::Yaml => out.document(&answer.body)?,
                    // The token alone, so that a script can take it as it is.
                    Format::Table | Format::Name => {
                        let made: Made = view::read(&answer.body)?;
                        out.line(&made.token)?;
                    }
                }
                Ok(Ending::Done)
            }
            Self::Revoke { name } => {
                let endpoint = Endpoint::token(name.as_str());
                let answer = session.client.delete(&endpoint, &WriteOptions::default())?;
                let out = &mut session.output;
                match out.format() {
                    Format::Json | Format::Yaml => out.document(&answer.body)?,
                    Format::Table => out.line(format!("token {name} revoked"))?,
                    Format::Name => out.line(name.as_str())?,
                }
                Ok(Ending::Done)
            }
        }
    }
}

fn list(session: &mut Session) -> Result<Ending, Failure> {
    let body = session.client.list(&Endpoint::tokens(), None)?;
    let tokens: Vec<Listed> = view::items(&body)?;
    let table = |tokens: &[Listed]| {
        let mut table = Table::new(["NAME", "ROLE", "CREATED"]);
        for Listed { name, role, created_at } in tokens {
            table.row([name.clone(), role.to_string(), created_at.clone()]);
        }
        table
    };
    session.output.list(&body, &tokens, |token| token.name.clone(), table, "there is no token")?;
    Ok(Ending::Done)
}

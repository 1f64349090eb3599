//! `refgate completions`: a completion script for a shell.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::failure::Failure;

/// Flags of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  refgate completions bash > ~/.local/share/bash-completion/completions/refgate")]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

impl CompletionsArgs {
    /// Prints the script.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "refgate", &mut script);
        io::stdout().lock().write_all(&script)?;
        Ok(())
    }
}

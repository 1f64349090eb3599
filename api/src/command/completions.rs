//! `refgate completions`: a script that makes a shell ask this program.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use clap_complete::env::Shells;

use super::complete;
use super::failure::Failure;

/// Flags of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refgate completions bash > ~/.local/share/bash-completion/completions/refgate
  refgate completions zsh > ~/.zfunc/_refgate          (a directory of $fpath)
  refgate completions fish > ~/.config/fish/completions/refgate.fish")]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

impl CompletionsArgs {
    /// Prints the script.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        let name = self.shell.to_possible_value();
        let name = name.as_ref().map_or("", |name| name.get_name());
        if let Some(shell) = Shells::builtins().completer(name) {
            shell.write_registration(
                complete::VARIABLE,
                "refgate",
                "refgate",
                "refgate",
                &mut script,
            )?;
        }
        io::stdout().lock().write_all(&script)?;
        Ok(())
    }
}

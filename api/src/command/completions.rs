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

/// Of a directory of `$fpath`, zsh runs the script as the function `_refgate` when somebody presses
/// Tab for the first time; that Tab is to be answered as well.
const AUTOLOADED: &str = r#"
if [[ "${funcstack[1]}" == _refgate ]]; then
    _clap_dynamic_completer_refgate "$@"
fi
"#;

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
        if let Shell::Zsh = self.shell {
            script.extend_from_slice(AUTOLOADED.as_bytes());
        }
        io::stdout().lock().write_all(&script)?;
        Ok(())
    }
}

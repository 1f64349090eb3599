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

/// bash takes colons and equals signs for ends of words: `group:uat` and addresses come as several.
/// They are put together again, and what stands before the last such sign is taken off the names,
/// because bash puts them behind it.
const WHOLE_WORDS: &str = r#"
_refgate() {
    local rest="$COMP_LINE" word gap at
    local -a words=()
    for at in "${!COMP_WORDS[@]}"; do
        word="${COMP_WORDS[at]}"
        gap="${rest%%[![:space:]]*}"
        rest="${rest#"$gap"}"
        if [[ -z "$gap" && ${#words[@]} -gt 0 ]]; then
            words[${#words[@]} - 1]+="$word"
        else
            words+=("$word")
        fi
        rest="${rest#"$word"}"
        [[ $at -lt $COMP_CWORD ]] || break
    done
    local -a COMP_WORDS=("${words[@]}")
    local COMP_CWORD=$((${#words[@]} - 1))
    local current="${words[COMP_CWORD]}"
    _clap_complete_refgate refgate "$current"
    local stays="${current%"${current##*[:=]}"}"
    COMPREPLY=("${COMPREPLY[@]#"$stays"}")
}
complete -o nospace -o bashdefault -o nosort -F _refgate refgate 2>/dev/null ||
    complete -o nospace -o bashdefault -F _refgate refgate
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
        match self.shell {
            Shell::Bash => script.extend_from_slice(WHOLE_WORDS.as_bytes()),
            Shell::Zsh => script.extend_from_slice(AUTOLOADED.as_bytes()),
            Shell::Fish | Shell::Elvish | Shell::Powershell => {}
        }
        io::stdout().lock().write_all(&script)?;
        Ok(())
    }
}

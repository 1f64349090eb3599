//! `refgate man`: manual pages, one for every command.

use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory};

use super::Cli;
use super::failure::Failure;
use super::input::InputError;

/// Flags of `man`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  refgate man ~/.local/share/man/man1 && man refgate-sync")]
pub struct ManArgs {
    /// Directory to write them to; made when it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl ManArgs {
    /// Writes the pages.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn run(self) -> Result<(), Failure> {
        let write = || {
            fs::create_dir_all(&self.directory)?;
            clap_mangen::generate_to(Cli::command(), &self.directory)
        };
        write().map_err(|source| {
            let name = self.directory.display().to_string();
            Failure::Input(InputError::Write { name, source })
        })
    }
}

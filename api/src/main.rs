//! The `refgate` program: reads the command line and hands over to [`refgate::command`].

use std::process::ExitCode;

use clap::Parser;
use refgate::command::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}

//! The `refgate` program: reads the command line and hands over to [`refgate::command`].

use std::process::ExitCode;

use refgate::command::Cli;

/// What a proxied request costs is for a good part what its allocations cost.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    refgate::command::complete::answer_shell();
    Cli::of_process().run()
}

//! `refgate-gateway`: the data plane alone, the same as `refgate gateway`.

use std::process::ExitCode;

use clap::Parser;
use refgate_proxy::command::{self, GatewayArgs};

/// What a proxied request costs is for a good part what its allocations cost.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves the gateway group of a Refgate configuration repository.
#[derive(Parser)]
#[command(name = "refgate-gateway", version)]
struct Program {
    #[command(flatten)]
    gateway: GatewayArgs,
}

fn main() -> ExitCode {
    let program = Program::parse();
    command::log_to_stderr();
    match command::run(program.gateway) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("refgate-gateway: {error}");
            // As of flags that cannot be read.
            if error.is_usage() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

//! The command line: what can be typed, and which exit code comes of it.
//!
//! One file per noun, each a thin translation of flags into one request and of the answer into
//! text. Flags that several commands share are in [`args`], files that people write in [`input`]
//! and [`tree`], failures and exit codes in [`failure`]. `up`, `serve` and `gateway` run programs;
//! all others talk to a control plane through [`crate::client`] and know nothing else of it.

pub mod apply;
pub mod args;
pub mod check;
pub mod commit;
pub mod complete;
pub mod completions;
pub mod contexts;
pub mod diff;
pub mod events;
pub mod failure;
pub mod fmt;
pub mod group;
pub mod history;
pub mod hook;
pub mod import;
pub mod input;
pub mod instance;
pub mod login;
pub mod man;
pub mod node;
pub mod object;
pub mod reindex;
pub mod rollback;
pub mod route;
pub mod runtime;
pub mod service;
pub mod session;
pub mod status;
pub mod sync;
pub mod token;
pub mod tree;
pub mod up;
pub mod validate;
pub mod version;
pub mod wait;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use refgate_core::object::ObjectKind;

use self::args::{Connection, Remote, RemoteNoun};
use self::failure::Failure;
use self::session::Session;
use crate::output::write::Ending;
use crate::output::{Format, Output};

/// An API gateway whose configuration is a git repository
///
/// Every gateway group is a branch, every change a commit, every version of a service a tag.
/// `refgate up` starts everything in one process; the other commands talk to a running control
/// plane, by default the one on this machine.
#[derive(Debug, Parser)]
#[command(name = "refgate", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 conflict.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Everything that `refgate` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process: control plane and gateways
    Up(up::UpArgs),
    /// Run the control plane alone
    Serve(up::ServeArgs),
    /// Run one gateway alone
    Gateway(refgate_proxy::command::GatewayArgs),
    /// Show every service in every group, on one screen
    Status(Remote<status::StatusArgs>),
    /// Gateway groups
    Group(RemoteNoun<group::GroupCommand>),
    /// Services of a group
    Service(RemoteNoun<service::ServiceCommand>),
    /// Routes of a service
    Route(RemoteNoun<route::RouteCommand>),
    /// What a group owns about a service: hosts, nodes, path prefix
    Runtime(RemoteNoun<runtime::RuntimeCommand>),
    /// Consumers of a group: who may call, and by which credentials
    Consumer(RemoteNoun<object::ObjectCommand>),
    /// Certificates of a group
    Certificate(RemoteNoun<object::ObjectCommand>),
    /// Global rules of a group: plugins that run for every request
    GlobalRule(RemoteNoun<object::ObjectCommand>),
    /// Gateway instances: which there are, and how they are
    Instance(RemoteNoun<instance::InstanceCommand>),
    /// Versions of a service
    Version(RemoteNoun<version::VersionCommand>),
    /// Promote a version of a service to other groups
    ///
    /// What the source group runs becomes a version, unless it is one already, and comes onto the
    /// branch of every target as a cherry-pick. Hosts and nodes of the targets stay their own.
    Sync(Remote<sync::SyncArgs>),
    /// Bring back an older version of a service, or an older state of a whole group
    ///
    /// A rollback is a new commit: nothing leaves the history, and it can itself be rolled back.
    /// Hosts and nodes stay when one service is rolled back; a whole group goes back with them.
    Rollback(Remote<rollback::RollbackArgs>),
    /// What happened in a group, or in all of them, newest first
    History(Remote<history::HistoryArgs>),
    /// Follow what happens in a group: commits, gateways, and what they serve
    ///
    /// Prints a line for each event as it comes, until Ctrl-C. At first the gateways are told as they
    /// are. A connection that breaks is made again, and no commit is missed meanwhile. With -o json
    /// each line is an object.
    Events(Remote<events::EventsArgs>),
    /// Wait until every healthy gateway of a group serves its head, or a commit
    ///
    /// For changes that came another way than from this command line, such as by git push. Ends with
    /// 1 when some do not serve it in time, and names them.
    Wait(Remote<wait::WaitArgs>),
    /// Compare two versions of a service, or what two groups run
    Diff(Remote<diff::DiffArgs>),
    /// Write files into a group, in one commit
    ///
    /// A file holds one service as a whole, as `refgate service get -o json` shows it, or several
    /// as YAML documents with a "name" each. The service is then as the file says: routes that the
    /// file does not have are removed, and only hosts and nodes stay when it does not name them.
    /// A directory is laid out like the repository tree of a group
    /// (services/SERVICE/service.json, services/SERVICE/routes/ROUTE.json,
    /// runtime/SERVICE.json, …) and adds to what is there.
    Apply(Remote<apply::ApplyArgs>),
    /// Make services out of descriptions in other notations
    Import(RemoteNoun<import::ImportCommand>),
    /// Keep a server and its token, and use it from now on
    ///
    /// The token is given with --token, with REFGATE_TOKEN or on standard input; a terminal does
    /// not show it. It is kept in the user's configuration directory, in a file that nobody else
    /// can read, and goes to this server alone. --server, --token and their variables still count
    /// before what is kept.
    Login(Remote<login::LoginArgs>),
    /// Use another of the servers that are kept
    Use(Remote<login::UseArgs>),
    /// Forget a server and its token
    Logout(Remote<login::LogoutArgs>),
    /// Tokens: who may read, write and push, or manage
    Token(RemoteNoun<token::TokenCommand>),
    /// Check files without writing anything
    ///
    /// Without --group nobody is asked: a directory is judged as a push of it would be, and what is
    /// wrong is told with line and column. Of a clone, what git ignores is left out. With --group the
    /// files are laid over what the group has, which the control plane knows.
    Validate(Remote<validate::ValidateArgs>),
    /// Write documents in canonical form, as the API writes them
    ///
    /// Two spaces, keys in the order of the reference, defaults left out. Prints the files that it
    /// changes. Files that cannot be read, or that would lose something, are told and left as they
    /// are. Asks no control plane.
    Fmt(fmt::FmtArgs),
    /// Check a configuration repository on this machine: objects, refs, versions, groups, index
    ///
    /// Reads every object and proves every group, and writes nothing; a control plane may run on the
    /// repository meanwhile. Ends with 0 when the repository is sound and with 1 when it is not.
    Check(check::CheckArgs),
    /// Make the disposable index beside a configuration repository anew
    ///
    /// The index holds what walking the history would tell and nothing else; a control plane makes
    /// it anew by itself where it is absent, damaged or of another version. No control plane may
    /// run on the repository meanwhile.
    Reindex(reindex::ReindexArgs),
    /// What git runs when somebody pushes to the configuration repository
    #[command(subcommand)]
    Hook(hook::HookCommand),
    /// Print a script that makes a shell complete commands, flags and names
    ///
    /// Names of groups, services, routes and versions are asked of the server in use, for half a
    /// second at most; without an answer there are none.
    Completions(completions::CompletionsArgs),
    /// Write manual pages
    Man(man::ManArgs),
}

/// A command that asks a control plane.
pub trait Run {
    /// Asks, and shows the answer.
    ///
    /// # Errors
    /// When the command could not do what it says.
    fn run(self, session: &mut Session) -> Result<Ending, Failure>;
}

impl Cli {
    /// Reads the line that this process was started with; ends the process when it is none, or
    /// asks for help.
    #[must_use]
    pub fn of_process() -> Self {
        Self::parse_from(args::with_bare_waits(std::env::args_os()))
    }

    /// Runs the command to its end.
    #[must_use]
    pub fn run(self) -> ExitCode {
        if let Command::Events(_) = self.command {
            events::end_with_interrupt();
        }
        ExitCode::from(self.run_with(Output::standard))
    }

    /// The same with answers and messages going to a place of the caller's; gives the exit code.
    pub(crate) fn run_with(self, output: impl FnOnce(Format) -> Output) -> u8 {
        match self.command {
            Command::Up(args) => failure::report(args.run()),
            Command::Serve(args) => failure::report(args.run()),
            Command::Gateway(args) => {
                refgate_proxy::command::log_to_stderr();
                failure::report(refgate_proxy::command::run(args).map_err(|error| {
                    if error.is_usage() {
                        Failure::Usage(error.to_string())
                    } else {
                        Failure::program(error)
                    }
                }))
            }
            Command::Check(args) => args.run(output),
            Command::Reindex(args) => args.run(output),
            Command::Fmt(args) => args.run(output),
            Command::Hook(hook) => hook.run(),
            Command::Completions(args) => failure::report(args.run()),
            Command::Status(remote) => ask(remote.connection, remote.args, output),
            Command::Group(noun) => ask(noun.connection, noun.command, output),
            Command::Service(noun) => ask(noun.connection, noun.command, output),
            Command::Route(noun) => ask(noun.connection, noun.command, output),
            Command::Runtime(noun) => ask(noun.connection, noun.command, output),
            Command::Consumer(noun) => {
                ask(noun.connection, noun.command.of(ObjectKind::Consumer), output)
            }
            Command::Certificate(noun) => {
                ask(noun.connection, noun.command.of(ObjectKind::Certificate), output)
            }
            Command::GlobalRule(noun) => {
                ask(noun.connection, noun.command.of(ObjectKind::GlobalRule), output)
            }
            Command::Instance(noun) => ask(noun.connection, noun.command, output),
            Command::Version(noun) => ask(noun.connection, noun.command, output),
            Command::Sync(remote) => ask(remote.connection, remote.args, output),
            Command::Rollback(remote) => ask(remote.connection, remote.args, output),
            Command::History(remote) => ask(remote.connection, remote.args, output),
            Command::Events(remote) => ask(remote.connection, remote.args, output),
            Command::Wait(remote) => ask(remote.connection, remote.args, output),
            Command::Diff(remote) => ask(remote.connection, remote.args, output),
            Command::Apply(remote) => ask(remote.connection, remote.args, output),
            Command::Import(noun) => ask(noun.connection, noun.command, output),
            Command::Login(Remote { args, connection }) => keep(connection, args, output),
            Command::Use(Remote { args, connection }) => keep(connection, args, output),
            Command::Logout(Remote { args, connection }) => keep(connection, args, output),
            Command::Man(args) => failure::report(args.run()),
            Command::Token(noun) => ask(noun.connection, noun.command, output),
            Command::Validate(remote) => ask(remote.connection, remote.args, output),
        }
    }
}

fn ask(connection: Connection, command: impl Run, output: impl FnOnce(Format) -> Output) -> u8 {
    let output = output(connection.output);
    let mut session = match Session::new(&connection, output) {
        Ok(session) => session,
        Err(failure) => return failure::report(Err(failure)),
    };
    let result = command.run(&mut session);
    session.finish(result)
}

fn keep(
    connection: Connection,
    command: impl login::Keeping,
    output: impl FnOnce(Format) -> Output,
) -> u8 {
    login::keep(&connection, command, output(connection.output))
}

#[cfg(test)]
mod tests;

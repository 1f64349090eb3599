//! What a shell is told when somebody presses Tab: commands and flags, and names that the server
//! has.
//!
//! A shell runs this program with [`VARIABLE`] set and the line so far as arguments. Whoever
//! presses Tab waits, so the server gets half a second, and every failure is an empty list.

use std::ffi::OsStr;
use std::time::Duration;

use clap::{Args as _, CommandFactory, FromArgMatches as _, ValueHint};
use clap_complete::{ArgValueCompleter, CompleteEnv, CompletionCandidate};
use refgate_core::name::{GroupName, ServiceName};
use serde_json::Value;

use super::Cli;
use super::args::Connection;
use super::contexts::Contexts;
use crate::client::Client;
use crate::client::endpoint::Endpoint;

/// The variable by which a shell asks.
pub(super) const VARIABLE: &str = "REFGATE_COMPLETE";
/// How long somebody who pressed Tab waits for names.
const PATIENCE: Duration = Duration::from_millis(500);

/// Answers a shell that asks, and ends the process then; else does nothing.
pub fn answer_shell() {
    CompleteEnv::with_factory(|| with_names(Cli::command())).var(VARIABLE).complete();
}

/// The command tree, with completers by what the values are called. zsh and fish complete files
/// only where they are told that there are any.
fn with_names(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|argument| {
        let called = argument.get_value_names().and_then(|names| names.first());
        let completer = match called.map(clap::builder::Str::as_str) {
            Some("GROUP") => ArgValueCompleter::new(of(groups)),
            Some("SERVICE") => ArgValueCompleter::new(of(services)),
            Some("ROUTE") => ArgValueCompleter::new(of(routes)),
            Some("VERSION") => ArgValueCompleter::new(of(versions)),
            Some("INSTANCE") => ArgValueCompleter::new(of(instances)),
            Some("SIDE") if argument.get_id() != "on_conflict" => ArgValueCompleter::new(of(sides)),
            Some("SERVICE|group:NAME" | "group:NAME") => ArgValueCompleter::new(of(sides)),
            Some("NAME") if argument.get_id() == "context" => ArgValueCompleter::new(of(contexts)),
            Some("FILE") => return argument.value_hint(ValueHint::FilePath),
            Some("DIR") => return argument.value_hint(ValueHint::DirPath),
            Some("FILE|DIR" | "PATH|URL") => return argument.value_hint(ValueHint::AnyPath),
            _ => return argument,
        };
        argument.add(completer)
    });
    command.mut_subcommands(|child| {
        let is_context = matches!(child.get_name(), "use" | "logout" | "login");
        let child = with_names(child);
        match is_context {
            true => child.mut_args(|argument| match argument.get_id().as_str() {
                "name" => argument.add(ArgValueCompleter::new(of(contexts))),
                _ => argument,
            }),
            false => child,
        }
    })
}

/// A completer out of a list of names.
fn of(names: fn(&Line) -> Option<Vec<String>>) -> impl Fn(&OsStr) -> Vec<CompletionCandidate> {
    move |current| {
        let current = current.to_string_lossy();
        // Of several values with commas between them, the last is being typed.
        let (done, typed) = match current.rsplit_once(',') {
            Some((done, typed)) => (format!("{done},"), typed),
            None => (String::new(), &*current),
        };
        let names = names(&Line::of_process()).unwrap_or_default();
        let names = names.into_iter().filter(|name| name.starts_with(typed));
        names.map(|name| CompletionCandidate::new(format!("{done}{name}"))).collect()
    }
}

/// The line that is being typed.
struct Line {
    words: Vec<String>,
    connection: Connection,
}

impl Line {
    fn of_process() -> Self {
        let words = std::env::args().skip_while(|word| word != "--").skip(1).collect();
        Self::of(words)
    }

    fn of(words: Vec<String>) -> Self {
        // Only the flags of the connection are read; whatever else stands in an unfinished line
        // is no error here.
        let mut typed = vec!["refgate".to_owned()];
        for flag in ["server", "token", "context", "contexts"] {
            if let Some(value) = flag_in(&words, &[&format!("--{flag}")]) {
                typed.push(format!("--{flag}={value}"));
            }
        }
        let flags = Connection::augment_args(clap::Command::new("refgate"));
        let nothing = || Connection {
            server: None,
            token: None,
            context: None,
            contexts: None,
            output: crate::output::Format::Json,
        };
        let connection = flags
            .try_get_matches_from(typed)
            .and_then(|matches| Connection::from_arg_matches(&matches))
            .unwrap_or_else(|_| nothing());
        Self { words, connection }
    }

    fn group(&self) -> Option<GroupName> {
        flag_in(&self.words, &["-g", "--group", "--from"])?.parse().ok()
    }

    /// The name after the verbs, which is the service of the commands that complete by it.
    fn service(&self, known: &[String]) -> Option<ServiceName> {
        let is_known = |word: &&String| known.contains(word);
        self.words.iter().skip(1).find(is_known)?.parse().ok()
    }

    fn names(&self, endpoint: &Endpoint, key: &str) -> Option<Vec<String>> {
        let (server, token) = self.connection.resolve().ok()?;
        let body = Client::new(server, token).within(PATIENCE).get(endpoint).ok()?.body;
        let items = body.get("items")?.as_array()?;
        let name = |item: &Value| item.get(key)?.as_str().map(str::to_owned);
        Some(items.iter().filter_map(name).collect())
    }
}

/// The value of a flag in the line, written in one word or in two.
fn flag_in(words: &[String], names: &[&str]) -> Option<String> {
    let mut found = None;
    for (at, word) in words.iter().enumerate() {
        for name in names {
            if word == name {
                found = words.get(at + 1).cloned();
            } else if let Some(value) =
                word.strip_prefix(name).and_then(|rest| rest.strip_prefix('='))
            {
                found = Some(value.to_owned());
            }
        }
    }
    found.filter(|value| !value.is_empty())
}

fn groups(line: &Line) -> Option<Vec<String>> {
    line.names(&Endpoint::groups(), "name")
}

fn services(line: &Line) -> Option<Vec<String>> {
    match line.group() {
        Some(group) => line.names(&Endpoint::of_group(&group, "services"), "name"),
        None => line.names(&Endpoint::matrix(), "service"),
    }
}

fn routes(line: &Line) -> Option<Vec<String>> {
    let service = line.service(&services(line)?)?;
    line.names(&Endpoint::of_service(&line.group()?, &service, "routes"), "name")
}

fn versions(line: &Line) -> Option<Vec<String>> {
    let service = line.service(&line.names(&Endpoint::matrix(), "service")?)?;
    line.names(&Endpoint::across(&service, "versions"), "version")
}

fn instances(line: &Line) -> Option<Vec<String>> {
    line.names(&Endpoint::gateways().query_if("group", line.group().as_ref()), "instance")
}

/// Both sides of a comparison: groups as such, services, and versions once a service is typed.
fn sides(line: &Line) -> Option<Vec<String>> {
    let mut names: Vec<String> =
        groups(line)?.into_iter().map(|name| format!("group:{name}")).collect();
    match versions(line) {
        Some(versions) => names.extend(versions),
        None => names.extend(line.names(&Endpoint::matrix(), "service").unwrap_or_default()),
    }
    Some(names)
}

fn contexts(line: &Line) -> Option<Vec<String>> {
    let path = line.connection.contexts_file().ok()?;
    let kept = Contexts::load(&path).ok()?;
    Some(kept.all.keys().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::client::testing::{answer, serve};

    fn names(line: &str, of: fn(&Line) -> Option<Vec<String>>, bodies: &[Value]) -> Vec<String> {
        let answers = bodies.iter().map(|body| answer("200 OK", "", &body.to_string())).collect();
        let (address, server) = serve(answers);
        let line = format!("refgate {line} --server http://{address} --token=secret");
        let line = Line::of(line.split_whitespace().map(str::to_owned).collect());
        let names = of(&line).unwrap_or_default();
        assert_eq!(server.join().unwrap().len(), bodies.len());
        names
    }

    #[test]
    fn names_are_those_of_the_server() {
        let items = |key: &str, names: &[&str]| {
            let items: Vec<Value> = names.iter().map(|name| json!({key: name})).collect();
            json!({"items": items, "next": null})
        };
        assert_eq!(names("status", groups, &[items("name", &["test", "uat"])]), ["test", "uat"]);
        let found = names("route get -g test", services, &[items("name", &["httpbin"])]);
        assert_eq!(found, ["httpbin"]);
        let bodies = [items("name", &["httpbin"]), items("name", &["get", "put"])];
        assert_eq!(names("route get -g test httpbin", routes, &bodies), ["get", "put"]);
        let bodies = [items("service", &["httpbin"]), items("version", &["1.0.0"])];
        assert_eq!(names("rollback httpbin --to", versions, &bodies), ["1.0.0"]);
    }

    #[test]
    fn without_an_answer_there_are_no_names() {
        let line = Line::of(
            ["refgate", "--server=http://127.0.0.1:1", "--token=x"].map(str::to_owned).into(),
        );
        assert_eq!(groups(&line), None);
    }

    #[test]
    fn flags_in_an_unfinished_line() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let group = |line: &str| flag_in(&words(line), &["-g", "--group"]);
        assert_eq!(group("route list -g test").as_deref(), Some("test"));
        assert_eq!(group("route list --group=test x").as_deref(), Some("test"));
        assert_eq!(group("route list -g "), None);
        assert_eq!(group("route list"), None);
    }

    #[test]
    fn the_tree_is_sound_with_names() {
        with_names(Cli::command()).debug_assert();
    }
}

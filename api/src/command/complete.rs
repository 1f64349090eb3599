//! What a shell is told when somebody presses Tab: commands and flags, and names that the server
//! has.
//!
//! A shell runs this program with [`VARIABLE`] set and the line so far as arguments. Whoever
//! presses Tab waits, so the server gets half a second, and every failure is an empty list.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

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
/// Names in one request; the server gives no more.
const PAGE: usize = 1000;

/// Answers a shell that asks, and ends the process then; else does nothing.
pub fn answer_shell() {
    let tree = || match is_flag_begun() {
        true => with_names(Cli::command()),
        false => with_flags_behind(with_names(Cli::command())),
    };
    CompleteEnv::with_factory(tree).var(VARIABLE).complete();
}

/// Whether the word that is being typed is to be a flag.
fn is_flag_begun() -> bool {
    let words: Vec<String> = words_of_process().collect();
    let at = std::env::var("_CLAP_COMPLETE_INDEX").ok().and_then(|at| at.parse::<usize>().ok());
    let current = at.map_or(words.last(), |at| words.get(at));
    current.is_some_and(|word| word.starts_with('-'))
}

/// The line so far, as the shell gives it.
fn words_of_process() -> impl Iterator<Item = String> {
    std::env::args().skip_while(|word| word != "--").skip(1)
}

/// The command tree that offers flags only where it has nothing else: some shells would put them
/// before the names.
fn with_flags_behind(command: clap::Command) -> clap::Command {
    let command = command.disable_help_flag(true).disable_version_flag(true);
    let command = command.mut_args(|argument| {
        let is_flag = !argument.is_positional();
        argument.hide(is_flag)
    });
    command.mut_subcommands(with_flags_behind)
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
    /// When the names have to be there.
    until: Instant,
    connection: Connection,
}

impl Line {
    fn of_process() -> Self {
        Self::of(words_of_process().collect())
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
        Self { words, until: Instant::now() + PATIENCE, connection }
    }

    fn group(&self) -> Option<GroupName> {
        flag_in(&self.words, &["-g", "--group", "--from"])?.parse().ok()
    }

    /// The first name after the verbs, which is the service of the commands that complete by it.
    fn service(&self) -> Option<ServiceName> {
        let mut command = Cli::command();
        command.build();
        let mut command = &command;
        let mut words = self.words.iter().skip(1);
        while let Some(word) = words.next() {
            if let Some(verb) = command.find_subcommand(word) {
                command = verb;
            } else if word.starts_with('-') {
                let takes_next = |argument: &clap::Arg| {
                    let values = argument.get_num_args();
                    is_flag(argument, word) && values.is_some_and(|range| range.min_values() > 0)
                };
                if command.get_arguments().any(takes_next) {
                    words.next();
                }
            } else {
                // A sync has the version of a service behind it.
                return word.split('@').next()?.parse().ok();
            }
        }
        None
    }

    /// The names in a list, through its pages. What has come when the time is over is better than
    /// nothing.
    fn names(
        &self,
        endpoint: &Endpoint,
        name: impl Fn(&Value) -> Option<&str>,
    ) -> Option<Vec<String>> {
        let (server, token) = self.connection.resolve().ok()?;
        let mut client = Client::new(server, token);
        let endpoint = endpoint.clone().query("limit", &PAGE.to_string());
        let mut page = endpoint.clone();
        let mut names: Option<Vec<String>> = None;
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            client = client.within(left);
            let answer = if left.is_zero() { None } else { client.get(&page).ok() };
            let Some(body) = answer.map(|answer| answer.body) else { return names };
            let items = body.get("items").and_then(Value::as_array);
            let more = items.into_iter().flatten().filter_map(&name).map(str::to_owned);
            names.get_or_insert_default().extend(more);
            match body.get("next").and_then(Value::as_str) {
                Some(next) => page = endpoint.clone().query("after", next),
                None => return names,
            }
        }
    }
}

/// Whether a word is this flag, without its value.
fn is_flag(argument: &clap::Arg, word: &str) -> bool {
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    [short, long].iter().flatten().any(|name| name == word)
}

/// The value under a key.
fn under(key: &str) -> impl Fn(&Value) -> Option<&str> {
    move |item| item.get(key)?.as_str()
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
    line.names(&Endpoint::groups(), under("name"))
}

/// The services of the group in the line. The matrix tells them sooner than the group, whose list
/// has each service as a whole.
fn services(line: &Line) -> Option<Vec<String>> {
    let group = line.group();
    line.names(&Endpoint::matrix(), |row| {
        let is_there = |group: &GroupName| row["groups"].get(group.as_str()).is_some();
        group.as_ref().is_none_or(is_there).then(|| row.get("service")?.as_str())?
    })
}

fn routes(line: &Line) -> Option<Vec<String>> {
    line.names(&Endpoint::of_service(&line.group()?, &line.service()?, "routes"), under("name"))
}

fn versions(line: &Line) -> Option<Vec<String>> {
    line.names(&Endpoint::across(&line.service()?, "versions"), under("version"))
}

fn instances(line: &Line) -> Option<Vec<String>> {
    line.names(&Endpoint::gateways().query_if("group", line.group().as_ref()), under("instance"))
}

/// Both sides of a comparison: groups as such, services, and versions once a service is typed.
fn sides(line: &Line) -> Option<Vec<String>> {
    let mut names: Vec<String> =
        groups(line)?.into_iter().map(|name| format!("group:{name}")).collect();
    match versions(line) {
        Some(versions) => names.extend(versions),
        None => names.extend(line.names(&Endpoint::matrix(), under("service")).unwrap_or_default()),
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
        let matrix = json!({"items": [
            {"service": "a", "groups": {"test": {}, "uat": {}}},
            {"service": "b", "groups": {"uat": {}}},
        ], "next": null});
        assert_eq!(names("route get -g test", services, std::slice::from_ref(&matrix)), ["a"]);
        assert_eq!(names("version list", services, &[matrix]), ["a", "b"]);
        let found = names("route get -g test a", routes, &[items("name", &["get", "put"])]);
        assert_eq!(found, ["get", "put"]);
        let found = names("rollback a --to", versions, &[items("version", &["1.0.0"])]);
        assert_eq!(found, ["1.0.0"]);
    }

    #[test]
    fn the_service_of_a_line() {
        let service = |line: &str| {
            let line = Line::of(line.split(' ').map(str::to_owned).collect());
            line.service().map(|service| service.to_string())
        };
        for line in [
            "refgate route get -g test a ge",
            "refgate route get a --group=test",
            "refgate route --server http://x get -o json a",
            "refgate rollback --wait a -g uat --to ",
            "refgate sync a@1.0.0 --version ",
            "refgate diff a --from 1.0.0 --to ",
        ] {
            assert_eq!(service(line).as_deref(), Some("a"), "{line}");
        }
        for line in ["refgate", "refgate route get -g test", "refgate diff group:uat "] {
            assert_eq!(service(line), None, "{line}");
        }
    }

    #[test]
    fn lists_are_read_through_their_pages() {
        let page = |name: &str, next: Value| json!({"items": [{"name": name}], "next": next});
        let pages = [page("a", json!("a")), page("b", Value::Null)];
        let answers = pages.iter().map(|page| answer("200 OK", "", &page.to_string())).collect();
        let (address, server) = serve(answers);
        let words = ["refgate", &format!("--server=http://{address}"), "--token=x"];
        let line = Line::of(words.map(str::to_owned).into());
        assert_eq!(groups(&line), Some(vec!["a".to_owned(), "b".to_owned()]));
        let asked: Vec<String> = server.join().unwrap().into_iter().map(|seen| seen.line).collect();
        assert_eq!(
            asked,
            ["GET /v1/groups?limit=1000 HTTP/1.1", "GET /v1/groups?limit=1000&after=a HTTP/1.1"]
        );
        // What came before a page that fails counts.
        let (address, server) =
            serve(vec![answer("200 OK", "", &page("a", json!("a")).to_string())]);
        let words = ["refgate", &format!("--server=http://{address}"), "--token=x"];
        let line = Line::of(words.map(str::to_owned).into());
        assert_eq!(groups(&line), Some(vec!["a".to_owned()]));
        server.join().unwrap();
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
        with_flags_behind(with_names(Cli::command())).debug_assert();
    }
}

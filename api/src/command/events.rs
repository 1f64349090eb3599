//! `refgate events`: what happens in a group, as it happens.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Run;
use super::args::GroupArg;
use super::failure::Failure;
use super::session::Session;
use super::status::problem;
use crate::client::ClientError;
use crate::client::endpoint::Endpoint;
use crate::client::events::{EventStream, Happening};
use crate::client::view::{self, Convergence, Event, Gateway, Group, ShapeError};
use crate::output::write::Ending;
use crate::output::{Format, Output, text};

/// The first pause before a connection that broke is made again; each next one is twice as long.
const PAUSE: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 1 });
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);

/// Flags of `events`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refgate events -g production
  refgate events -g production --after 12 -o json")]
pub struct EventsArgs {
    #[command(flatten)]
    group: GroupArg,
    /// Tell the commits after this revision of the group first
    #[arg(long, value_name = "REVISION")]
    after: Option<u64>,
}

/// Makes Ctrl-C the end of the command, and no failure: whoever follows has seen enough.
pub(super) fn end_with_interrupt() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    // Without one, Ctrl-C still ends the process.
    let Ok(runtime) = runtime else { return };
    std::thread::spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            std::process::exit(0);
        }
    });
}

impl Run for EventsArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let group = self.group.group;
        let known = match self.after {
            Some(revision) => revision,
            None => {
                let group: Group = view::read(&session.client.get(&Endpoint::group(&group))?.body)?;
                group.revision
            }
        };
        let endpoint = Endpoint::of_group(&group, "events");
        let mut told = Told { known: known.to_string(), states: BTreeMap::new() };
        let mut stream = session.client.follow(&endpoint, &told.known)?;
        loop {
            let ended = told.tell(&mut stream, &mut session.output)?;
            session.output.note(format!("{ended}; connecting again"))?;
            let mut pause = PAUSE;
            stream = loop {
                sleep(pause);
                match session.client.follow(&endpoint, &told.known) {
                    Ok(stream) => break stream,
                    Err(error) if is_passing(&error) => pause = (pause * 2).min(LONGEST),
                    Err(error) => return Err(error.into()),
                }
            };
        }
    }
}

/// What was told already.
struct Told {
    /// The revision of the last commit.
    known: String,
    /// How each instance is, and who serves the head. A new connection begins with it anew.
    states: BTreeMap<String, Value>,
}

impl Told {
    /// Tells what comes; gives why nothing more does.
    fn tell(&mut self, stream: &mut EventStream, out: &mut Output) -> Result<String, Failure> {
        loop {
            match stream.next_event() {
                Ok(Some(event)) => {
                    if let Some(id) = &event.id {
                        id.clone_into(&mut self.known);
                    }
                    if self.is_news(&event) {
                        print(out, &event)?;
                    }
                }
                Ok(None) => return Ok("the control plane ended the stream".to_owned()),
                Err(error) if is_passing(&error) => return Ok(error.to_string()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn is_news(&mut self, event: &Happening) -> bool {
        if event.id.is_some() {
            return true;
        }
        let mut state = event.data.clone();
        let mut key = event.kind.clone();
        if let Some(state) = state.as_object_mut() {
            state.remove("last_seen");
            key.extend(state.get("instance").map(text::scalar));
        }
        self.states.insert(key, state.clone()) != Some(state)
    }
}

fn print(out: &mut Output, event: &Happening) -> Result<(), Failure> {
    let Happening { kind, id, data } = event;
    match out.format() {
        Format::Json => {
            let line = json!({"event": kind, "id": id, "data": data});
            out.text(&format!("{line}\n"))?;
        }
        Format::Yaml => {
            out.text("---\n")?;
            out.document(&json!({"event": kind, "id": id, "data": data}))?;
        }
        Format::Name if kind == "commit" => out.line(view::read::<Event>(data)?.commit)?,
        Format::Name => {}
        Format::Table => {
            let (at, what) = told(kind, data)?;
            let at = at.unwrap_or_else(|| Timestamp::now().to_string());
            let mut begins = format!("{}  {kind:<11}  ", text::time(&at));
            let room = out.width().saturating_sub(begins.len());
            for part in text::folded(&what, room) {
                out.line(format!("{begins}{part}"))?;
                begins = " ".repeat(begins.len());
            }
        }
    }
    Ok(())
}

/// When it happened, if it says so, and what happened.
fn told(kind: &str, data: &Value) -> Result<(Option<String>, String), ShapeError> {
    Ok(match kind {
        "commit" => {
            let event: Event = view::read(data)?;
            let (actor, commit) = (text::actor(&event), text::short_commit(&event.commit));
            let what = format!("r{} {} ({actor}, {commit})", event.revision, event.subject);
            (Some(event.at), what)
        }
        "gateway" => {
            let gateway: Gateway = view::read(data)?;
            let mut what = format!("{} {}", gateway.instance, gateway.state);
            if let Some(commit) = &gateway.commit {
                what += &format!(", serves {}", text::short_commit(commit));
            }
            match problem(&gateway) {
                problem if problem.is_empty() => {}
                problem => what += &format!(": {problem}"),
            }
            (None, what)
        }
        "convergence" => {
            let convergence: Convergence = view::read(data)?;
            (None, text::served(&convergence))
        }
        // What later servers may tell.
        _ => (None, data.to_string()),
    })
}

/// Whether the same request may be answered in a while.
fn is_passing(error: &ClientError) -> bool {
    match error {
        ClientError::Refused(problem) => problem.status >= 500,
        ClientError::Unreachable { .. }
        | ClientError::Interrupted { .. }
        | ClientError::NotRefgate { .. } => true,
        ClientError::Redirected { .. } | ClientError::Shape(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::Memory;

    #[test]
    fn events_in_a_line_each() {
        let gateway = |state: &str, more: &Value| {
            let mut gateway = json!({"instance": "gw-1", "group": "uat", "state": state});
            gateway
                .as_object_mut()
                .expect("an object")
                .extend(more.as_object().expect("an object").clone());
            gateway
        };
        let table = [
            (
                "commit",
                json!({"revision": 3, "subject": "sync a 1.0.0 to uat", "actor": "jane",
                    "commit": "0123456789", "at": "2026-01-02T03:04:05Z"}),
                "r3 sync a 1.0.0 to uat (jane, 01234567)",
            ),
            ("gateway", gateway("removed", &json!({})), "gw-1 removed"),
            (
                "gateway",
                gateway("degraded", &json!({"commit": "0123456789", "message": "cannot listen"})),
                "gw-1 degraded, serves 01234567: cannot listen",
            ),
            (
                "convergence",
                json!({"commit": "0123456789", "applied": 1, "total": 2, "pending": ["gw-2"]}),
                "01234567 is served by 1 of 2 gateways, not yet by gw-2",
            ),
            (
                "convergence",
                json!({"commit": "0123456789", "applied": 1, "total": 1, "pending": []}),
                "01234567 is served by 1 of 1 gateway",
            ),
            ("later", json!({"a": 1}), "{\"a\":1}"),
        ];
        for (kind, data, what) in table {
            assert_eq!(told(kind, &data).expect("an event").1, what);
        }
    }

    #[test]
    fn what_a_terminal_has_no_room_for_goes_on_below_itself() {
        let subject = "sync shop, cart, checkout, payment, search, reviews 1.0.0 to production";
        let event = Happening {
            kind: "commit".to_owned(),
            id: Some("3".to_owned()),
            data: json!({"revision": 3, "subject": subject, "actor": "jane",
                "commit": "0123456789", "at": "2026-01-02T03:04:05Z"}),
        };
        let memory = Memory::default();
        print(&mut memory.terminal(Format::Table), &event).expect("memory takes everything");
        assert_eq!(
            memory.answers(),
            "2026-01-02 03:04:05Z  commit       r3 sync shop, cart, checkout, payment, search, \
             reviews 1.0.0 to\n\
             \x20                                  production (jane, 01234567)\n"
        );
    }
}

//! `refgate hook proc-receive`: a push to `refs/for/<group>` promotes a version.
//!
//! git hands the pushes to such refs over to this hook, in its packet-line protocol (version 1 of the
//! `proc-receive` hook, `githooks(5)`), and tells the client whether it took them.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use refgate_core::Error;
use refgate_core::change::{Change, PlanView, Precondition, Written};
use refgate_core::event::Actor;
use refgate_core::merge::OnConflict;
use refgate_core::name::{CommitId, GroupName, ServiceName};
use refgate_core::push::{Promotion, Target, Update};
use refgate_core::repository::Repository;

use super::report::{PATIENCE, Server};
use super::{HookError, Setting, say};
use crate::client::view;
use crate::output::changes;

/// Times that a promotion is planned anew because somebody else changed the group meanwhile.
const TRIES: usize = 16;

pub(super) fn run() -> Result<bool, HookError> {
    let setting = Setting::from_environment()?;
    let mut git = Packets {
        input: BufReader::new(io::stdin().lock()),
        output: BufWriter::new(io::stdout().lock()),
    };
    let hello = git.read_until_flush()?;
    let hello = hello.first().map(Vec::as_slice).unwrap_or_default();
    if !hello.starts_with(b"version=1") {
        return Err(HookError::Protocol("it speaks another version of proc-receive".to_owned()));
    }
    let has_options = contains(hello, b"push-options");
    git.write(if has_options { "version=1\0push-options" } else { "version=1" })?;
    git.flush()?;
    let updates = git.read_until_flush()?;
    let options = if has_options { git.read_until_flush()? } else { Vec::new() };
    let options = Options::read(&options);
    for update in updates {
        let update = update_of(&update)?;
        let outcome = match &options {
            Ok(options) => promote(&setting, &update, options)?,
            Err(reason) => Err(reason.clone()),
        };
        match outcome {
            // Not which commit the group is at now: the client has it only after a fetch.
            Ok(()) => git.write(&format!("ok {}", update.reference))?,
            Err(reason) => git.write(&format!("ng {} {reason}", update.reference))?,
        }
    }
    git.flush()?;
    Ok(true)
}

fn contains(line: &[u8], word: &[u8]) -> bool {
    line.split(|byte| matches!(byte, 0 | b' ')).any(|found| found == word)
}

fn update_of(line: &[u8]) -> Result<Update, HookError> {
    let line = std::str::from_utf8(line).unwrap_or_default();
    line.parse().map_err(|error| HookError::Protocol(format!("{error}")))
}

/// What a push asks for with `-o`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Options {
    service: ServiceName,
    version: Option<String>,
    on_conflict: OnConflict,
    reason: Option<String>,
    dry_run: bool,
}

impl Options {
    /// Reads the options; what is wrong with them is told to whoever pushes.
    fn read(lines: &[Vec<u8>]) -> Result<Self, String> {
        let mut service = None;
        let mut options = (None, OnConflict::Abort, None, false);
        for line in lines {
            let line = String::from_utf8_lossy(line);
            let (name, value) = line.split_once('=').unwrap_or((&line, ""));
            match name {
                "service" => {
                    let name = ServiceName::from_str(value).map_err(|error| error.to_string())?;
                    service = Some(name);
                }
                "version" => options.0 = Some(value.to_owned()),
                "on-conflict" => {
                    options.1 = match value {
                        "abort" => OnConflict::Abort,
                        "theirs" => OnConflict::Theirs,
                        "ours" => OnConflict::Ours,
                        _ => return Err("on-conflict is abort, theirs or ours".to_owned()),
                    }
                }
                "reason" => options.2 = Some(value.to_owned()),
                "dry-run" if value.is_empty() => options.3 = true,
                _ => {
                    return Err("unknown option: there are service, version, on-conflict, reason \
                                and dry-run"
                        .to_owned());
                }
            }
        }
        let (version, on_conflict, reason, dry_run) = options;
        let service = service.ok_or("say which service: git push -o service=<service>")?;
        Ok(Self { service, version, on_conflict, reason, dry_run })
    }
}

/// Promotes, or says in few words why not; many are said before.
fn promote(
    setting: &Setting,
    update: &Update,
    options: &Options,
) -> Result<Result<(), String>, HookError> {
    let Ok(Target::For(group)) = Target::of(&update.reference) else {
        return Ok(Err("no place for a promotion".to_owned()));
    };
    let Some(commit) = update.new.and_then(|id| CommitId::from_str(&id.to_string()).ok()) else {
        return Ok(Err("nothing is taken away by a push".to_owned()));
    };
    let repository = Repository::open_beside(&setting.repository, Arc::new(Timestamp::now))
        .map_err(Error::from)?;
    for _ in 0..TRIES {
        let result =
            plan(setting, &repository, &group, commit, options).and_then(|(change, plan)| {
                let Some(base) = plan.base_commit else {
                    return Err(Error::NotFound { what: format!("group {group}") });
                };
                if options.dry_run {
                    return Ok((plan, None));
                }
                // What is shown is what is done: another head is another plan.
                let precondition = Precondition { expect_head: Some(base), ..Default::default() };
                let written = repository.apply(Change { precondition, ..change })?;
                Ok((plan, Some(written)))
            });
        match result {
            Err(Error::ConcurrentUpdate { .. }) => {}
            Err(error) => {
                refuse(&error);
                return Ok(Err(error.code().to_owned()));
            }
            Ok((plan, written)) => {
                show(&plan, written.as_ref());
                if let (Some(written), Some(server)) = (written, Server::from_environment()) {
                    server.tell_who_serves(&group, written.commit, Instant::now() + PATIENCE);
                }
                return Ok(Ok(()));
            }
        }
    }
    say("error: the group is being changed by others all the time: try again");
    Ok(Err("concurrent_update".to_owned()))
}

fn plan(
    setting: &Setting,
    repository: &Repository,
    group: &GroupName,
    commit: CommitId,
    options: &Options,
) -> Result<(Change, PlanView), Error> {
    let promotion = Promotion {
        commit,
        service: options.service.clone(),
        version: options.version.clone(),
        on_conflict: options.on_conflict,
    };
    let change = Change {
        group: group.clone(),
        operation: promotion.operation(repository)?,
        actor: Actor::named(&setting.pusher.name),
        request_id: setting.request_id.clone().unwrap_or_else(|| "push".to_owned()),
        reason: options.reason.clone(),
        precondition: Precondition::default(),
    };
    let plan = repository.plan(&change)?;
    Ok((change, plan))
}

/// Says everything that the refusal rests on.
fn refuse(error: &Error) {
    say(&format!("error: {error} [{}]", error.code()));
    for finding in error.diagnostics() {
        say(&format!("error: {finding} [{}]", finding.code));
    }
    for conflict in error.conflicts() {
        say(&format!("error: {} {}:", conflict.file, conflict.pointer));
        for (whose, value) in
            [("base", &conflict.base), ("ours", &conflict.ours), ("theirs", &conflict.theirs)]
        {
            say(&format!("  {whose}: {value}"));
        }
    }
    if !error.conflicts().is_empty() {
        say(
            "hint: choose a side: git push -o on-conflict=theirs (the version) or ours (the group)",
        );
    }
}

/// Shows what would happen, or has.
fn show(plan: &PlanView, written: Option<&Written>) {
    for gate in &plan.gates {
        say(&format!("{}: {}", gate.gate, gate.message));
    }
    for warning in &plan.warnings {
        say(&format!("warning: {warning} [{}]", warning.code));
    }
    let shown = serde_json::to_value(&plan.changes)
        .and_then(serde_json::from_value::<Vec<view::Change>>)
        .unwrap_or_default();
    changes::lines(&shown, usize::MAX).iter().for_each(|line| say(line));
    for service in &plan.services {
        let what = format!("{} {}", service.service, service.version);
        let group = &plan.group;
        say(&match (written, plan.outcome.as_str()) {
            (_, "already_current") => format!("{group} runs {what} already"),
            (Some(written), _) => {
                format!("{what} was promoted to {group}, revision {}", written.revision)
            }
            (None, _) => format!("{what} would be promoted to {group}; nothing was changed"),
        });
    }
}

/// git's packet lines: four hexadecimal digits of length, itself included; `0000` ends a section.
struct Packets<R, W> {
    input: R,
    output: W,
}

/// Longest packet that git knows.
const LONGEST: usize = 65_520;

impl<R: Read, W: Write> Packets<R, W> {
    /// The packets up to the end of a section, without the line ends that git puts to them.
    fn read_until_flush(&mut self) -> Result<Vec<Vec<u8>>, HookError> {
        let mut packets = Vec::new();
        loop {
            let mut length = [0; 4];
            self.input.read_exact(&mut length)?;
            let length = std::str::from_utf8(&length)
                .ok()
                .and_then(|digits| usize::from_str_radix(digits, 16).ok())
                .filter(|length| *length == 0 || (4..=LONGEST).contains(length))
                .ok_or_else(|| HookError::Protocol("a packet has no length".to_owned()))?;
            let Some(length) = length.checked_sub(4) else { return Ok(packets) };
            let mut packet = vec![0; length];
            self.input.read_exact(&mut packet)?;
            if packet.last() == Some(&b'\n') {
                packet.pop();
            }
            packets.push(packet);
        }
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.output, "{:04x}{text}", text.len() + 5)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.write_all(b"0000")?;
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_and_written() {
        let input: &[u8] = b"000cversion\n0006ab0000tail";
        let mut packets = Packets { input, output: Vec::new() };
        let read = packets.read_until_flush().expect("read");
        assert_eq!(read, [b"version".to_vec(), b"ab".to_vec()]);
        assert_eq!(packets.input, b"tail");
        packets.write("ok x").expect("written");
        packets.flush().expect("written");
        assert_eq!(packets.output, b"0009ok x\n0000");
        for broken in [&b"00"[..], b"zzzz", b"0003", b"ffff", b"0009ab", b"0001"] {
            let mut packets = Packets { input: broken, output: Vec::new() };
            assert!(packets.read_until_flush().is_err(), "{broken:?}");
        }
    }

    #[test]
    fn options() {
        let read = |lines: &[&str]| {
            Options::read(&lines.iter().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>())
        };
        let options = read(&["service=a", "version=1.0.0", "dry-run", "on-conflict=ours"]);
        let options = options.expect("options");
        assert_eq!(options.version.as_deref(), Some("1.0.0"));
        assert!(options.dry_run && options.on_conflict == OnConflict::Ours);
        for (lines, part) in [
            (&["version=1.0.0"][..], "which service"),
            (&["service=A"], "A"),
            (&["service=a", "on-conflict=me"], "on-conflict"),
            (&["service=a", "force"], "unknown option"),
            (&["service=a", "dry-run=1"], "unknown option"),
        ] {
            let refused = read(lines).expect_err("refused");
            assert!(refused.contains(part), "{refused}");
        }
    }
}

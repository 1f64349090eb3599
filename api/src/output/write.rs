//! What a write did, or would do.

use std::io;

use serde_json::Value;

use super::paint::Colour;
use super::text::{actor, count, instance, short_commit};
use super::{Format, Output, changes, problem};
use crate::client::problem::Problem;
use crate::client::view::{self, Convergence, Event, Plan, ServiceOutcome, Write};
use crate::client::{Answer, ClientError};

/// How a write ended, as far as the exit code is concerned.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// As asked.
    Done,
    /// At least one part was refused, or a gateway did not follow in time.
    Failed,
    /// At least one part was refused for what somebody else changed.
    Conflict,
}

/// Shows the answer to a write. `subject` is what was written (`service httpbin`), `verb` what
/// was done to it (`updated`).
///
/// # Errors
/// When the answer is not of the promised shape, or cannot be shown.
pub fn print(
    out: &mut Output,
    answer: &Answer,
    subject: &str,
    verb: &str,
) -> Result<Ending, WriteError> {
    let verb = if answer.status == 201 { "created" } else { verb };
    if out.format().is_document() {
        out.document(&answer.body)?;
    }
    let ending = each(out, answer, subject, verb)?;
    if out.format() == Format::Table && is_plan(&answer.body) {
        out.note("dry run: nothing was changed")?;
    }
    Ok(ending)
}

fn is_plan(body: &Value) -> bool {
    let results = body.get("results").and_then(Value::as_array);
    body.get("plan").is_some() || results.is_some_and(|results| results.iter().any(is_plan))
}

fn each(
    out: &mut Output,
    answer: &Answer,
    subject: &str,
    verb: &str,
) -> Result<Ending, WriteError> {
    match answer.body.get("results") {
        Some(Value::Array(results)) => {
            let mut ending = Ending::Done;
            for result in results {
                ending = ending.max(one(out, result, subject, verb)?);
            }
            Ok(ending)
        }
        _ => one(out, &answer.body, subject, verb),
    }
}

/// Shows a plan to somebody who is then asked.
///
/// # Errors
/// As [`print()`].
pub fn preview(out: &mut Output, answer: &Answer) -> Result<Ending, WriteError> {
    each(out, answer, "", "")
}

/// The ids of the plans in an answer.
#[must_use]
pub fn plans(answer: &Answer) -> Vec<String> {
    let id = |body: &Value| body["plan"]["id"].as_str().map(str::to_owned);
    each_of(answer).filter_map(id).collect()
}

/// Whether a plan finds all there already: nobody needs to be asked about it.
#[must_use]
pub fn is_current(answer: &Answer) -> bool {
    let is_current = |body: &Value| {
        let changes = body["plan"]["changes"].as_array();
        body["plan"]["outcome"] == "already_current" && changes.is_some_and(Vec::is_empty)
    };
    each_of(answer).all(is_current)
}

/// The parts of an answer: one, or one for each group.
fn each_of(answer: &Answer) -> impl Iterator<Item = &Value> {
    match &answer.body["results"] {
        Value::Array(results) => results.iter(),
        _ => std::slice::from_ref(&answer.body).iter(),
    }
}

/// What can go wrong with an answer that came.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The answer is not of the promised shape.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The answer cannot be shown.
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl From<view::ShapeError> for WriteError {
    fn from(error: view::ShapeError) -> Self {
        Self::Client(error.into())
    }
}

fn one(out: &mut Output, body: &Value, subject: &str, verb: &str) -> Result<Ending, WriteError> {
    if let Some(error) = body.get("error") {
        let refused = Problem::embedded(error);
        if let Some(Value::String(group)) = body.get("group") {
            out.note(format!("{group}:"))?;
        }
        problem::print(out, &refused, true)?;
        return Ok(if refused.is_conflict() { Ending::Conflict } else { Ending::Failed });
    }
    if let Some(plan) = body.get("plan") {
        let plan: Plan = view::read(plan)?;
        print_plan(out, &plan)?;
        return Ok(Ending::Done);
    }
    let write: Write = view::read(body)?;
    match out.format() {
        Format::Json | Format::Yaml => {}
        Format::Name => out.line(&write.commit)?,
        Format::Table => out.sentence(None, &sentence(&write, subject, verb))?,
    }
    out.warnings(&write.warnings)?;
    match &write.convergence {
        Some(convergence) => Ok(print_convergence(out, convergence)?),
        None => Ok(Ending::Done),
    }
}

/// One line for people: `uat: service httpbin updated (revision 3, commit 1a2b3c4d)`.
fn sentence(write: &Write, subject: &str, verb: &str) -> String {
    let happened = match write.services.as_slice() {
        [] => happened(write, &write.service, subject, verb),
        many => {
            let each = many.iter().map(|service| happened(write, service, subject, verb));
            each.collect::<Vec<_>>().join("; ")
        }
    };
    let mut place = Vec::new();
    if let Some(revision) = write.revision {
        place.push(format!("revision {revision}"));
    }
    if write.changed && !write.commit.is_empty() {
        place.push(format!("commit {}", short_commit(&write.commit)));
    }
    let place = if place.is_empty() { String::new() } else { format!(" ({})", place.join(", ")) };
    format!("{}: {happened}{place}", write.group)
}

fn happened(write: &Write, of: &ServiceOutcome, subject: &str, verb: &str) -> String {
    let versioned = match (&of.service, &of.version) {
        (Some(service), Some(version)) => Some(format!("{service} {version}")),
        _ => None,
    };
    match (of.outcome.as_deref(), versioned) {
        (Some("promoted"), Some(what)) => format!("{what} promoted"),
        (Some("rolled_back"), Some(what)) => format!("rolled back to {what}"),
        (Some("already_current"), Some(what)) => format!("{what} is already there"),
        (Some("already_current"), None) => format!("{subject} is as it was then"),
        (Some(outcome), _) if write.changed => format!("{subject} {}", outcome.replace('_', " ")),
        _ if write.changed || verb == "created" => format!("{subject} {verb}"),
        _ => format!("{subject} unchanged"),
    }
}

/// Events that a plan is shown with at the most.
const LATER: usize = 10;

fn print_plan(out: &mut Output, plan: &Plan) -> io::Result<()> {
    match out.format() {
        Format::Json | Format::Yaml => return Ok(()),
        Format::Name => return out.line(plan.base_commit.as_deref().unwrap_or_default()),
        Format::Table => {}
    }
    let base = plan.base_commit.as_deref().map(short_commit);
    let base = base.map(|base| format!(" on commit {base}")).unwrap_or_default();
    let outcome = plan.outcome.as_deref().unwrap_or("changed").replace('_', " ");
    out.painted(Some(Colour::Bold), &format!("plan for {}{base}: {outcome}", plan.group))?;
    if plan.changes.is_empty() {
        out.line("no changes")?;
    }
    changes::print(out, &plan.changes)?;
    print_later(out, &plan.later)?;
    for gate in &plan.gates {
        let (state, colour) = match gate.passed {
            true => ("passed", Colour::Green),
            false => ("refused", Colour::Red),
        };
        out.sentence(Some(colour), &format!("gate {}: {state}: {}", gate.gate, gate.message))?;
    }
    out.warnings(&plan.warnings)
}

/// What a rollback leaves behind, newest first.
fn print_later(out: &mut Output, later: &[Event]) -> io::Result<()> {
    if later.is_empty() {
        return Ok(());
    }
    out.painted(Some(Colour::Bold), "leaves the head, stays in the history:")?;
    for event in later.iter().take(LATER) {
        let (commit, actor) = (short_commit(&event.commit), actor(event));
        out.line(format!("    r{}  {}  ({actor}, {commit})", event.revision, event.subject))?;
    }
    match later.len().checked_sub(LATER) {
        Some(more @ 1..) => out.line(format!("    and {more} more")),
        _ => Ok(()),
    }
}

fn print_convergence(out: &mut Output, convergence: &Convergence) -> io::Result<Ending> {
    let total = count(convergence.total, "gateway");
    if convergence.pending.is_empty() {
        if out.format() == Format::Table {
            out.line(format!("served by {} of {total}", convergence.applied))?;
        }
        return Ok(Ending::Done);
    }
    let pending: Vec<_> = convergence.pending.iter().map(instance).collect();
    out.note(format!(
        "the change is made, but served by {} of {total} yet; still waiting for: {}",
        convergence.applied,
        pending.join(", ")
    ))?;
    Ok(Ending::Failed)
}

#[cfg(test)]
mod tests;

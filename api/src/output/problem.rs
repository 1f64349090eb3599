//! Refusals and failures, for people: what, where, and what to do about it.

use std::io;

use refgate_core::diff::title;

use super::Output;
use super::changes::{compact, place};
use super::table::{Column, Table};
use crate::client::ClientError;
use crate::client::problem::{Conflict, Finding, Problem};

/// Prints a refusal with everything that the server says about it.
///
/// # Errors
/// When `out` cannot be written.
pub fn print(out: &mut Output, problem: &Problem, had_token: bool) -> io::Result<()> {
    // Where the findings follow one by one, a detail that repeats them is left out.
    let repeats = |finding: &Finding| problem.detail.contains(&finding.message);
    let headline = match problem.diagnostics.iter().any(repeats) && !problem.title.is_empty() {
        true => problem.title.clone(),
        false => problem.to_string(),
    };
    // What to do about a conflict is said in the words of the API; ours follow as the hint.
    let headline = match headline.split_once(": choose a side") {
        Some((headline, _)) if !problem.conflicts.is_empty() => headline.to_owned(),
        _ => headline,
    };
    out.note(format!("error: {headline}"))?;
    for finding in &problem.diagnostics {
        let mark = if finding.severity == "warning" { "warning: " } else { "" };
        out.note(format!("  {mark}{finding}"))?;
    }
    print_conflicts(out, &problem.conflicts)?;
    if let Some(remedy) = remedy(problem, had_token) {
        out.note(format!("hint: {remedy}"))?;
    }
    for line in settling(&problem.conflicts) {
        out.note_to_copy(line)?;
    }
    if !problem.request_id.is_empty() {
        out.note(format!("request id: {}", problem.request_id))?;
    }
    Ok(())
}

/// Both sides beside each other on a terminal; elsewhere a line for each, which can be searched.
fn print_conflicts(out: &mut Output, conflicts: &[Conflict]) -> io::Result<()> {
    if conflicts.is_empty() || !out.messages_are_read() {
        return conflicts.iter().try_for_each(|one| out.note(format!("  conflict: {one}")));
    }
    let columns = ["CONFLICT", "BEFORE", "OURS (the group's)", "THEIRS (the version's)"];
    let mut table = Table::new(columns.map(Column::words));
    for conflict in conflicts {
        let at = format!("{} › {}", title(&conflict.file), place(&conflict.pointer));
        let sides = [&conflict.base, &conflict.ours, &conflict.theirs].map(compact);
        table.row([vec![at], sides.to_vec()].concat());
    }
    out.note_table(&table)
}

/// The flags that settle conflicts one by one, to be put behind the command.
fn settling(conflicts: &[Conflict]) -> Vec<String> {
    let last = conflicts.len().saturating_sub(1);
    let flag = |(index, conflict): (usize, &Conflict)| {
        let place = format!("theirs:{}#{}", conflict.file, conflict.pointer);
        let more = if index == last { "" } else { " \\" };
        format!("  --take {}{more}", quoted(&place))
    };
    conflicts.iter().enumerate().map(flag).collect()
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:#~@+,".contains(&byte);
    match word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// What to do where a name is taken.
const EXISTS: &str = "change what is there with `patch`, or choose another name";

/// What to do about a refusal, where that is the same for everybody.
fn remedy(problem: &Problem, had_token: bool) -> Option<String> {
    let text = match problem.code.as_str() {
        "unauthenticated" if had_token => {
            "the server does not know this token: is it the one of this server? `refgate login` keeps another, REFGATE_TOKEN and --token count before it"
        }
        "unauthenticated" => {
            "give a token with `refgate login`, REFGATE_TOKEN or --token; `refgate up` keeps the first one in the file admin-token of its data directory"
        }
        "concurrent_update" => "somebody else changed the group meanwhile: look again and repeat",
        "precondition_failed" if problem.detail.ends_with("exists already") => EXISTS,
        "precondition_failed" if problem.detail.ends_with("does not exist") => {
            "without --if-match it is created"
        }
        "precondition_failed" => {
            "it is not as you read it: read it again and repeat with its new ETag"
        }
        "forbidden" => {
            "use a token with that role (`refgate login`, --token); an administrator makes one with `refgate token create`"
        }
        "not_found" => {
            "`refgate status` shows every service and group; `list` of a noun what there is of it"
        }
        "already_exists" => EXISTS,
        "version_taken" | "version_mismatch" | "content_already_versioned" => {
            "`refgate version list SERVICE` shows the numbers and where each runs"
        }
        "still_referenced" if problem.detail.contains("gateway instances") => {
            "`refgate instance list -g GROUP` shows them, `refgate instance remove` takes one away"
        }
        "read_only_group" => {
            "change it where it comes from: its controller in Kubernetes; an administrator takes the group back with `refgate group update GROUP --patch '{\"type\": \"gateway\"}'`"
        }
        "internal" => "the log of the control plane has the cause, under the request id",
        "version_required" => "name the new version with --version, such as --version 1.0.0",
        "promotion_conflict" => {
            "--on-conflict theirs takes the version's values everywhere, --on-conflict ours keeps the group's; to settle each by itself, theirs or ours, repeat the command with"
        }
        "unavailable" => {
            return Some(match problem.retry_after {
                Some(seconds) => format!("try again in {seconds} s"),
                None => "try again in a moment".to_owned(),
            });
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// Prints why there is no answer.
///
/// # Errors
/// When `out` cannot be written.
pub fn print_client(out: &mut Output, error: &ClientError, had_token: bool) -> io::Result<()> {
    let hint = match error {
        ClientError::Refused(problem) => return print(out, problem, had_token),
        ClientError::Unreachable { .. } => {
            "is it running? `refgate up` starts one; another address is given with --server or REFGATE_SERVER"
        }
        ClientError::Interrupted { .. } => {
            "a change that was on its way may have been made: look before you repeat it"
        }
        ClientError::NotRefgate { .. } => {
            "--server (or REFGATE_SERVER) is the address of the control plane, not of a gateway"
        }
        ClientError::Redirected { .. } => {
            "the token is not sent to another address by itself: give that address with --server"
        }
        ClientError::Shape(_) => "-o json shows the answer as it came",
    };
    out.note(format!("error: {error}"))?;
    out.note(format!("hint: {hint}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::Format;
    use crate::output::testing::Memory;

    fn printed(body: serde_json::Value, had_token: bool) -> String {
        let memory = Memory::default();
        print(&mut memory.output(Format::Table), &Problem::embedded(&body), had_token)
            .expect("memory takes everything");
        memory.messages()
    }

    #[test]
    fn everything_the_server_says_is_shown() {
        let body = json!({
            "title": "Validation failed", "status": 422, "code": "validation_failed",
            "detail": "1 error", "request_id": "r-1",
            "diagnostics": [
                {"severity": "error", "code": "bad_path", "file": "services/a/routes/b.json",
                 "pointer": "/paths/0", "message": "`*` stands only at the end", "hint": "use {name}"},
                {"severity": "warning", "code": "route_overlap", "file": "x.json", "pointer": "",
                 "message": "overlaps", "hint": null}
            ]
        });
        assert_eq!(
            printed(body, true),
            "error: Validation failed: 1 error\n\
             \x20 services/a/routes/b.json /paths/0: `*` stands only at the end (use {name})\n\
             \x20 warning: x.json: overlaps\n\
             request id: r-1\n"
        );
    }

    #[test]
    fn a_detail_that_repeats_the_findings_is_left_out() {
        let body = json!({
            "title": "Not valid", "status": 422, "code": "validation_failed",
            "detail": "not valid: a.json: no such key",
            "diagnostics": [{"severity": "error", "code": "unknown_key", "file": "a.json",
                "pointer": "", "message": "no such key", "hint": null}]
        });
        assert_eq!(printed(body, true), "error: Not valid\n  a.json: no such key\n");
    }

    #[test]
    fn conflicts_show_the_three_values_and_the_way_out() {
        let body = json!({
            "title": "Promotion conflict", "status": 409, "code": "promotion_conflict",
            "detail": "a in uat was edited by hand: choose a side for all with on_conflict",
            "conflicts": [{"service": "a", "file": "services/a/routes/b.json",
                "pointer": "/priority", "base": 0, "ours": 5, "theirs": null}]
        });
        let text = printed(body, true);
        assert!(
            text.starts_with("error: Promotion conflict: a in uat was edited by hand\n"),
            "{text}"
        );
        assert!(
            text.contains(
                "conflict: services/a/routes/b.json /priority: was 0, the group has 5, the version has (absent)"
            ),
            "{text}"
        );
        assert!(text.contains("--on-conflict theirs"), "{text}");
        assert!(text.ends_with("\n  --take theirs:services/a/routes/b.json#/priority\n"), "{text}");
    }

    #[test]
    fn a_terminal_has_both_sides_beside_each_other() {
        let conflict = |pointer: &str| {
            json!({"service": "a", "file": "services/a/routes/b.json", "pointer": pointer,
                "base": null, "ours": "x", "theirs": ["y"]})
        };
        let body = json!({"title": "Promotion conflict", "code": "promotion_conflict",
            "conflicts": [conflict("/labels/a b"), conflict("/priority")]});
        let memory = Memory::default();
        let mut out = memory.terminal(Format::Table);
        print(&mut out, &Problem::embedded(&body), true).expect("memory takes everything");
        let text = memory.messages();
        let row = "│ route b of a › labels › a b ┆ (absent) ┆ \"x\"";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("┆ [\"y\"]"), "{text}");
        let flags = "  --take 'theirs:services/a/routes/b.json#/labels/a b' \\\n  \
                     --take theirs:services/a/routes/b.json#/priority\n";
        assert!(text.ends_with(flags), "{text}");
    }

    #[test]
    fn a_precondition_that_does_not_hold_has_a_remedy() {
        for (detail, remedy) in [
            ("service a in group test exists already", "hint: change what is there"),
            ("service a in group test does not exist", "hint: without --if-match"),
            ("service a in group test is another than expected", "hint: it is not as you read it"),
        ] {
            let body = json!({"title": "The precondition does not hold", "status": 412,
                "code": "precondition_failed", "detail": detail});
            assert!(printed(body, true).contains(remedy), "{detail}");
        }
    }

    #[test]
    fn without_a_token_the_remedy_says_where_to_find_one() {
        let body = json!({"title": "Unauthenticated", "status": 401, "code": "unauthenticated"});
        assert!(printed(body.clone(), false).contains("admin-token"));
        assert!(printed(body, true).contains("does not know this token"));
    }
}

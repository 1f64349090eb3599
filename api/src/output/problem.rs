//! Refusals and failures, for people: what, where, and what to do about it.

use std::io::{self, Write};

use super::text::printable;
use crate::client::ClientError;
use crate::client::problem::{Finding, Problem};

/// Prints a refusal with everything that the server says about it.
///
/// # Errors
/// When `out` cannot be written.
pub fn print(out: &mut dyn Write, problem: &Problem, had_token: bool) -> io::Result<()> {
    // Where the findings follow one by one, a detail that repeats them is left out.
    let repeats = |finding: &Finding| problem.detail.contains(&finding.message);
    let headline = match problem.diagnostics.iter().any(repeats) && !problem.title.is_empty() {
        true => problem.title.clone(),
        false => problem.to_string(),
    };
    writeln!(out, "error: {}", printable(&headline))?;
    for finding in &problem.diagnostics {
        let mark = if finding.severity == "warning" { "warning: " } else { "" };
        writeln!(out, "  {mark}{}", printable(&finding.to_string()))?;
    }
    for conflict in &problem.conflicts {
        writeln!(out, "  conflict: {}", printable(&conflict.to_string()))?;
    }
    if let Some(remedy) = remedy(problem, had_token) {
        writeln!(out, "hint: {remedy}")?;
    }
    if !problem.request_id.is_empty() {
        writeln!(out, "request id: {}", printable(&problem.request_id))?;
    }
    Ok(())
}

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
        "precondition_failed" if problem.detail.is_empty() => {
            "the object is not as you read it: read it again and repeat with its new ETag"
        }
        "version_required" => "name the new version with --version, such as --version 1.0.0",
        "promotion_conflict" => {
            "--on-conflict theirs takes the version's values, --on-conflict ours keeps the group's"
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
pub fn print_client(out: &mut dyn Write, error: &ClientError, had_token: bool) -> io::Result<()> {
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
    writeln!(out, "error: {}", printable(&error.to_string()))?;
    writeln!(out, "hint: {hint}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(body: serde_json::Value, had_token: bool) -> String {
        let mut out = Vec::new();
        let problem = Problem::embedded(&body);
        print(&mut out, &problem, had_token).expect("memory takes everything");
        String::from_utf8(out).expect("text")
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
            "conflicts": [{"service": "a", "file": "services/a/routes/b.json",
                "pointer": "/priority", "base": 0, "ours": 5, "theirs": null}]
        });
        let text = printed(body, true);
        assert!(
            text.contains(
                "conflict: services/a/routes/b.json /priority: was 0, the group has 5, the version has (absent)"
            ),
            "{text}"
        );
        assert!(text.contains("--on-conflict theirs"), "{text}");
    }

    #[test]
    fn without_a_token_the_remedy_says_where_to_find_one() {
        let body = json!({"title": "Unauthenticated", "status": 401, "code": "unauthenticated"});
        assert!(printed(body.clone(), false).contains("admin-token"));
        assert!(printed(body, true).contains("does not know this token"));
    }
}

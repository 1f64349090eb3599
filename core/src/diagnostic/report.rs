//! Findings as people read them: one line each, the way a compiler writes it, and the remedy below.
//!
//! ```text
//! error: services/httpbin/routes/get.json:4:5 /paths/0: "get" does not begin with '/' [bad_path]
//! hint: write "/get"
//! ```
//!
//! Git clients colour lines that begin with `error:`, `warning:` or `hint:`. Nothing here prints.

use std::borrow::Cow;

use super::{Code, Diagnostic, Severity};
use crate::json::parse;
use crate::json::position::{Position, place};

/// Longest part of a line that is told, in characters: messages repeat what people wrote.
const LONGEST: usize = 600;

/// Where in the text of its file a finding is: the key where the key is at fault, else the value,
/// and where reading stopped if the text is no JSON.
///
/// Nothing comes back for findings about a file as a whole.
#[must_use]
pub fn position(finding: &Diagnostic, text: &[u8]) -> Option<Position> {
    match finding.code {
        Code::MalformedJson => return parse(text).err().map(|error| error.at),
        Code::UnexpectedFile | Code::MissingFile => return None,
        Code::TooLarge | Code::BadName if finding.pointer.is_empty() => return None,
        _ => {}
    }
    let place = place(text, &finding.pointer)?;
    match finding.code {
        Code::DuplicateKey => place.repeated.or(place.key),
        _ if place.exact && is_about_key(finding) => place.key,
        _ => Some(place.value),
    }
    .or(Some(place.value))
}

/// Whether a finding is about the key at its pointer and not about the value.
fn is_about_key(finding: &Diagnostic) -> bool {
    match finding.code {
        Code::UnknownKey | Code::UnknownPlugin => true,
        // The message begins with the name: that of the entry, or one that the value gives.
        Code::BadName => {
            let last = finding.pointer.rsplit('/').next().unwrap_or_default();
            let key = last.replace("~1", "/").replace("~0", "~");
            finding.message.starts_with(&format!("{key:?} "))
        }
        _ => false,
    }
}

/// The lines for one finding; `text` is that of its file, if there is one.
#[must_use]
pub fn lines(finding: &Diagnostic, text: Option<&[u8]>) -> Vec<String> {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut line = format!("{severity}: {}", plain(&finding.file));
    if let Some(position) = text.and_then(|text| position(finding, text)) {
        line.push_str(&format!(":{position}"));
    }
    if !finding.pointer.is_empty() {
        line.push_str(&format!(" {}", plain(&finding.pointer)));
    }
    line.push_str(&format!(": {} [{}]", plain(&finding.message), finding.code));
    let hint = finding.hint.as_ref().map(|hint| format!("hint: {}", plain(hint)));
    std::iter::once(line).chain(hint).collect()
}

/// The lines for findings in their order: at most `most` of them, errors before warnings if not all
/// fit, and then how many there are besides.
///
/// `text` gives the bytes of a file by its path; it is asked once for findings that follow each
/// other in one file.
#[must_use]
pub fn report<'t>(
    findings: &[Diagnostic],
    most: usize,
    mut text: impl FnMut(&str) -> Option<Cow<'t, [u8]>>,
) -> Vec<String> {
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    let warnings = findings.len() - errors;
    let mut room = (errors.min(most), warnings.min(most.saturating_sub(errors)));
    let left_out = (errors - room.0, warnings - room.1);
    let mut lines = Vec::new();
    let mut open: Option<(&str, Option<Cow<'t, [u8]>>)> = None;
    for finding in findings {
        let room = if finding.is_error() { &mut room.0 } else { &mut room.1 };
        let Some(rest) = room.checked_sub(1) else { continue };
        *room = rest;
        if open.as_ref().is_none_or(|(file, _)| *file != finding.file) {
            open = Some((&finding.file, text(&finding.file)));
        }
        let text = open.as_ref().and_then(|(_, text)| text.as_deref());
        lines.extend(self::lines(finding, text));
    }
    for (severity, count) in [("error", left_out.0), ("warning", left_out.1)] {
        match count {
            0 => {}
            1 => lines.push(format!("{severity}: and 1 more {severity}")),
            count => lines.push(format!("{severity}: and {count} more {severity}s")),
        }
    }
    lines
}

/// A text fit for a terminal: one line, not too long, nothing in it that a terminal would obey.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    let harmless = |letter: char| !letter.is_control() && !is_invisible(letter);
    if text.chars().all(harmless) && text.chars().nth(LONGEST).is_none() {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for letter in text.chars().take(LONGEST) {
        if harmless(letter) {
            shown.push(letter);
        } else {
            shown.extend(letter.escape_default());
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    Cow::Owned(shown)
}

/// Characters that are not seen but change how the rest of a line looks.
fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{
  "paths": ["get"],
  "match": {},
  "pats": 1,
  "Bad Name": "x",
  "match": {"headers": [{}]}
}
"#;

    fn finding(code: Code, pointer: &str) -> Diagnostic {
        Diagnostic::error("services/httpbin/routes/get.json", pointer, code, "it is wrong")
    }

    #[test]
    fn positions_suit_the_kind_of_defect() {
        let table = [
            (finding(Code::BadPath, "/paths/0"), TEXT, Some((2, 13))),
            (finding(Code::UnknownKey, "/pats"), TEXT, Some((4, 3))),
            (finding(Code::WrongType, "/pats"), TEXT, Some((4, 11))),
            (finding(Code::DuplicateKey, "/match"), TEXT, Some((6, 3))),
            (finding(Code::MissingKey, "/match/headers/0/name"), TEXT, Some((6, 25))),
            (finding(Code::BadName, "/Bad Name"), TEXT, Some((5, 15))),
            (finding(Code::MissingKey, "/upstreams"), TEXT, Some((1, 1))),
            (finding(Code::MalformedJson, ""), "{\n \"ä\": x}", Some((2, 7))),
            (finding(Code::MalformedJson, ""), "", Some((1, 1))),
            (finding(Code::TooLarge, ""), TEXT, None),
            (finding(Code::TooLarge, "/paths"), TEXT, Some((2, 12))),
            (finding(Code::UnexpectedFile, ""), TEXT, None),
            (finding(Code::BadName, ""), TEXT, None),
        ];
        for (finding, text, wanted) in table {
            let found = position(&finding, text.as_bytes());
            assert_eq!(found.map(|at| (at.line, at.column)), wanted, "{finding:?}");
        }
        let mut key = finding(Code::BadName, "/Bad Name");
        key.message = "\"Bad Name\" is not a valid upstream name".to_owned();
        let found = position(&key, TEXT.as_bytes());
        assert_eq!(found, Some(Position { line: 5, column: 3 }));
    }

    #[test]
    fn a_finding_is_a_line_and_its_hint_another() {
        let bad = finding(Code::BadPath, "/paths/0").with_hint("write \"/get\"");
        assert_eq!(
            lines(&bad, Some(TEXT.as_bytes())),
            [
                "error: services/httpbin/routes/get.json:2:13 /paths/0: it is wrong [bad_path]",
                "hint: write \"/get\"",
            ],
        );
        assert_eq!(
            lines(&finding(Code::UnexpectedFile, "").warning(), None),
            ["warning: services/httpbin/routes/get.json: it is wrong [unexpected_file]"],
        );
    }

    #[test]
    fn nothing_of_a_finding_reaches_the_terminal_as_a_command() {
        let message = format!("\u{1b}[2J\r\nremote: ok\u{202e}{}", "x".repeat(10_000));
        let bad = Diagnostic::error("a\u{7}", "/\u{85}", Code::BadPath, message).with_hint("\u{0}");
        let lines = lines(&bad, None);
        assert!(lines.iter().all(|line| line.chars().all(|letter| !letter.is_control())));
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with(r"error: a\u{7} /\u{85}: \u{1b}[2J\r\nremote: ok\u{202e}xx"));
        assert!(lines[0].ends_with("xx… [bad_path]") && lines[0].len() < 700);
    }

    #[test]
    fn what_does_not_fit_is_counted_and_errors_come_first() {
        let warning = |n: usize| finding(Code::RouteOverlap, &format!("/paths/{n}")).warning();
        let error = |n: usize| finding(Code::BadPath, &format!("/paths/{n}"));
        let findings = [warning(0), error(1), warning(2), error(3), error(4)];
        let mut asked = 0;
        let mut told = |most| {
            report(&findings, most, |_| {
                asked += 1;
                Some(Cow::Borrowed(TEXT.as_bytes()))
            })
        };
        let first = |lines: &[String]| -> Vec<String> {
            lines.iter().map(|line| line.chars().filter(char::is_ascii_digit).collect()).collect()
        };
        assert_eq!(told(5).len(), 5);
        let four = told(4);
        assert_eq!(four.last().map(String::as_str), Some("warning: and 1 more warning"));
        assert_eq!(first(&four), ["2130", "2121", "2123", "2124", "1"]);
        let two = told(2);
        assert_eq!(two[2..], ["error: and 1 more error", "warning: and 2 more warnings"]);
        assert_eq!(told(0), ["error: and 3 more errors", "warning: and 2 more warnings"]);
        assert_eq!(asked, 3);
    }
}

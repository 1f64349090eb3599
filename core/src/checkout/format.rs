//! Documents in canonical form: the text that the API would write for what a file says.
//!
//! Nothing of a file is lost: a text that would mean less in canonical form is left as it is, and
//! said why. Nothing here writes.

use crate::content::Place;
use crate::diagnostic::{Code, Diagnostic};
use crate::document::parse_file;

/// What there is to be done about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// The text is canonical.
    Canonical,
    /// This is the canonical text.
    Changed(Vec<u8>),
    /// The text must be left as it is, for these reasons.
    Unclear(Vec<Diagnostic>),
}

/// The canonical form of the document at a path of a group's tree; nothing when no document has its
/// place there.
#[must_use]
pub fn format(path: &str, text: &[u8]) -> Option<Format> {
    let place = Place::of(path).filter(|place| *place != Place::Ignored)?;
    let mut findings = Vec::new();
    let json = parse_file(path, text, &mut findings);
    if findings.is_empty()
        && let Some(number) = inexact_number(text)
    {
        let message = format!("the number {number} has more digits than are kept");
        findings.push(Diagnostic::error(path, "", Code::BadValue, message));
    }
    let Some(json) = json.filter(|_| findings.is_empty()) else {
        return Some(Format::Unclear(findings));
    };
    let canonical = place.bytes(&json);
    Some(if canonical == text { Format::Canonical } else { Format::Changed(canonical) })
}

/// A number of a JSON text that would be written as another one.
fn inexact_number(text: &[u8]) -> Option<String> {
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        match first {
            b'"' => rest = behind_string(after),
            b'-' | b'0'..=b'9' => {
                let in_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let end = rest.iter().position(|byte| !in_number(byte)).unwrap_or(rest.len());
                let number = String::from_utf8_lossy(&rest[..end]);
                if !is_exact(&number) {
                    return Some(number.into_owned());
                }
                rest = &rest[end..];
            }
            _ => rest = after,
        }
    }
    None
}

fn behind_string(mut rest: &[u8]) -> &[u8] {
    loop {
        match rest {
            [b'"', after @ ..] => return after,
            [b'\\', _, after @ ..] | [_, after @ ..] => rest = after,
            [] => return rest,
        }
    }
}

/// Whether a number is the same after it was read: whole ones of 64 bits are, and those that 15
/// digits are enough for.
fn is_exact(number: &str) -> bool {
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return true;
    }
    let (digits, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0').trim_end_matches('0');
    let is_near = exponent.parse::<i32>().is_ok_and(|exponent| (-290..=290).contains(&exponent));
    digits.len() <= 15 && is_near
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "services/a/routes/r.json";

    fn changed(path: &str, text: &str) -> String {
        match format(path, text.as_bytes()) {
            Some(Format::Changed(bytes)) => String::from_utf8(bytes).expect("text"),
            other => panic!("{path} {text}: {other:?}"),
        }
    }

    #[test]
    fn canonical_text_stays_and_other_text_becomes_it() {
        let canonical = "{\n  \"paths\": [\n    \"/a\"\n  ],\n  \"priority\": 1\n}\n";
        assert_eq!(format(ROUTE, canonical.as_bytes()), Some(Format::Canonical));
        for text in [
            r#"{"priority": 1, "enabled": true, "paths": ["\u002fa"]}"#,
            &canonical.replace('\n', "\r\n"),
            canonical.trim_end(),
        ] {
            assert_eq!(changed(ROUTE, text), canonical);
        }
        // What is wrong is not taken away, only written in order.
        let wrong = r#"{"x": [1.50, -3, 1E2], "paths": "/a"}"#;
        let told = "{\n  \"paths\": \"/a\",\n  \"x\": [\n    1.5,\n    -3,\n    100.0\n  ]\n}\n";
        assert_eq!(changed(ROUTE, wrong), told);
        for path in ["group.json", "runtime/a.json", "consumers/A.json", "global-rules/a.json"] {
            assert_eq!(changed(path, " {} "), "{}\n", "{path}");
        }
    }

    #[test]
    fn what_would_lose_something_is_left() {
        for (text, code) in [
            ("{", Code::MalformedJson),
            ("", Code::MalformedJson),
            ("\u{feff}{}", Code::MalformedJson),
            (r#"{"paths": ["/a"], "paths": ["/b"]}"#, Code::DuplicateKey),
            (r#"{"x": 12345678901234567890123}"#, Code::BadValue),
            (r#"{"x": 0.1234567890123456789}"#, Code::BadValue),
            (r#"{"x": 1e-400}"#, Code::BadValue),
        ] {
            match format(ROUTE, text.as_bytes()) {
                Some(Format::Unclear(findings)) => assert_eq!(findings[0].code, code, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        // Digits in a text are no number.
        changed(ROUTE, r#"{"description": "\\\"12345678901234567890123", "paths": ["/a"]}"#);
        changed(ROUTE, r#"{"x": 18446744073709551615, "y": -9223372036854775808}"#);
    }

    #[test]
    fn other_files_are_nobodys_business() {
        for path in ["README.md", "schema/route.json", "services/a/b.json", "x", "Runtime/a.json"] {
            assert_eq!(format(path, b" {} "), None, "{path}");
        }
    }
}

//! The normal form of a request path: what is matched, and what is forwarded.
//!
//! Rules: RFC 3986 §6.2.2 (percent-encoding), §5.2.4 (dot segments), and docs/configuration.md on slashes.

use std::borrow::Cow;

use crate::document::EncodedSlashes;

/// Why a request path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("the path does not begin with '/'")]
    NotAbsolute,
    /// A `%` without two hexadecimal digits after it.
    #[error("the path has a broken percent escape")]
    BrokenEscape,
    /// A control character, raw or escaped.
    #[error("the path has a control character")]
    ControlCharacter,
    /// A backslash, raw or escaped.
    #[error("the path has a backslash")]
    Backslash,
    /// An escaped slash where they are refused.
    #[error("the path has an encoded slash")]
    EncodedSlash,
    /// More `..` than segments before them.
    #[error("the path climbs above the root")]
    AboveRoot,
}

/// A slash that separates nothing, in normal form.
pub const ENCODED_SLASH: &str = "%2F";

/// The normal form of `path`, which has neither query nor fragment.
///
/// Escapes of unreserved characters are decoded, other escapes get upper-case digits, `//` becomes
/// `/`, then dot segments go. A path that is normal already is borrowed.
///
/// # Errors
/// When the path is one of those that [`PathError`] names; the request is answered with 400.
pub fn normalise(path: &str, slashes: EncodedSlashes) -> Result<Cow<'_, str>, PathError> {
    if !path.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    if is_plainly_normal(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path, slashes)?;
    without_dot_segments(&decoded).map(Cow::Owned)
}

/// Nothing in the path needs a second look. `/.` may begin an innocent name: that only costs time.
fn is_plainly_normal(path: &[u8]) -> bool {
    let mut before = 0;
    for &byte in path {
        let suspicious = matches!(byte, 0..=0x1f | 0x7f | b'%' | b'\\')
            || (before == b'/' && matches!(byte, b'/' | b'.'));
        if suspicious {
            return false;
        }
        before = byte;
    }
    true
}

/// Escapes in normal form and slashes merged.
fn decode(path: &str, slashes: EncodedSlashes) -> Result<String, PathError> {
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while let Some(&byte) = bytes.get(position) {
        position += 1;
        match byte {
            0..=0x1f | 0x7f => return Err(PathError::ControlCharacter),
            b'\\' => return Err(PathError::Backslash),
            b'/' if decoded.last() == Some(&b'/') => {}
            b'%' => {
                let escaped = bytes
                    .get(position..position + 2)
                    .and_then(|digits| Some(hex(digits[0])? << 4 | hex(digits[1])?))
                    .ok_or(PathError::BrokenEscape)?;
                match escaped {
                    0..=0x1f | 0x7f => return Err(PathError::ControlCharacter),
                    b'\\' => return Err(PathError::Backslash),
                    b'/' if slashes == EncodedSlashes::Reject => {
                        return Err(PathError::EncodedSlash);
                    }
                    _ if is_unreserved(escaped) => decoded.push(escaped),
                    _ => {
                        decoded.push(b'%');
                        decoded.extend(bytes[position..position + 2].to_ascii_uppercase());
                    }
                }
                position += 2;
            }
            _ => decoded.push(byte),
        }
    }
    // Only ASCII was added or taken away at character boundaries.
    String::from_utf8(decoded).map_err(|_| PathError::BrokenEscape)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn without_dot_segments(path: &str) -> Result<String, PathError> {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop().ok_or(PathError::AboveRoot)?;
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    Ok(format!("/{}", kept.join("/")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn table() {
        use PathError::{
            AboveRoot, Backslash, BrokenEscape, ControlCharacter, EncodedSlash, NotAbsolute,
        };
        let reject: &[(&str, Result<&str, PathError>)] = &[
            ("/", Ok("/")),
            ("/a/b", Ok("/a/b")),
            ("/a//b", Ok("/a/b")),
            ("//a///b//", Ok("/a/b/")),
            ("/%61%2D%2e%5f%7E", Ok("/a-._~")),
            ("/%c3%a9", Ok("/%C3%A9")),
            ("/a%20b%3f", Ok("/a%20b%3F")),
            ("/a/./b/.", Ok("/a/b/")),
            ("/a/../b", Ok("/b")),
            ("/a/b/..", Ok("/a/")),
            ("/a/..", Ok("/")),
            ("/a/%2e%2E/b", Ok("/b")),
            ("/a/.../b", Ok("/a/.../b")),
            ("/.well-known/x", Ok("/.well-known/x")),
            ("/..", Err(AboveRoot)),
            ("/a/../../b", Err(AboveRoot)),
            ("/%2e%2e/b", Err(AboveRoot)),
            ("/a//../b", Ok("/b")),
            ("/a%2Fb", Err(EncodedSlash)),
            ("/a%2fb", Err(EncodedSlash)),
            ("/a\\b", Err(Backslash)),
            ("/a%5Cb", Err(Backslash)),
            ("/a%5cb", Err(Backslash)),
            ("/a%", Err(BrokenEscape)),
            ("/a%4", Err(BrokenEscape)),
            ("/a%zz", Err(BrokenEscape)),
            ("/a%+1", Err(BrokenEscape)),
            ("/a%00", Err(ControlCharacter)),
            ("/a%1F", Err(ControlCharacter)),
            ("/a%7f", Err(ControlCharacter)),
            ("/a\u{7f}", Err(ControlCharacter)),
            ("/a\tb", Err(ControlCharacter)),
            ("", Err(NotAbsolute)),
            ("a", Err(NotAbsolute)),
            ("*", Err(NotAbsolute)),
            ("/é", Ok("/é")),
            ("/é%41", Ok("/éA")),
        ];
        for (path, normal) in reject {
            let found = normalise(path, EncodedSlashes::Reject);
            assert_eq!(found.as_deref(), normal.as_ref().map(|text| *text), "{path:?}");
        }
        let keep = [("/a%2fb", "/a%2Fb"), ("/a%2f/../b", "/b"), ("/%2F%2F", "/%2F%2F")];
        for (path, normal) in keep {
            assert_eq!(normalise(path, EncodedSlashes::Keep).as_deref(), Ok(normal), "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn normal_paths_stay(path in "/([a%2eF/.]|%2e|%41|%c3){0,24}") {
            if let Ok(normal) = normalise(&path, EncodedSlashes::Keep) {
                prop_assert!(normal.starts_with('/'));
                let again = normalise(&normal, EncodedSlashes::Keep);
                prop_assert_eq!(again.as_deref(), Ok(normal.as_ref()));
            }
        }

        #[test]
        fn any_text_is_answered(path in any::<String>()) {
            let _ = normalise(&path, EncodedSlashes::Reject);
        }
    }
}

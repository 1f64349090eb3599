//! The frame of PEM (RFC 7468): which blocks a text has, and that each holds one DER value.
//!
//! What the value says (names, dates, whether the key fits) is for those who use it.

use std::fmt;

/// Why a text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PemError {
    /// No block.
    Empty,
    /// A line outside of the blocks, counted from 1.
    Outside(usize),
    /// A block of another kind.
    Label(String),
    /// A block with a private key in it.
    PrivateKey,
    /// A block without its end; counted from 1.
    Unfinished(usize),
    /// A block that holds no DER value; counted from 1.
    Content(usize),
}

impl fmt::Display for PemError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => out.write_str("there is no PEM block in the text"),
            Self::Outside(line) => write!(out, "line {line} is outside of the PEM blocks"),
            Self::Label(label) => write!(out, "a PEM block of {label} has no place here"),
            Self::PrivateKey => out.write_str("a PEM block holds a private key"),
            Self::Unfinished(block) => write!(out, "PEM block {block} has no end"),
            Self::Content(block) => write!(out, "PEM block {block} is not whole"),
        }
    }
}

/// Checks that `text` is one or more blocks of `label` with nothing but empty lines around them.
///
/// A private key anywhere is told before all else.
pub(crate) fn check(text: &str, label: &str) -> Result<(), PemError> {
    let begins = |line: &str| line.trim().strip_prefix("-----BEGIN ").map(str::to_owned);
    if text.lines().filter_map(begins).any(|rest| rest.contains("PRIVATE KEY")) {
        return Err(PemError::PrivateKey);
    }
    let mut blocks = 0;
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let found = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----"));
        match found {
            None => return Err(PemError::Outside(index + 1)),
            Some(found) if found != label => {
                return Err(PemError::Label(found.chars().take(64).collect()));
            }
            Some(_) => {}
        }
        blocks += 1;
        let end = format!("-----END {label}-----");
        let mut body = String::new();
        loop {
            let Some((_, line)) = lines.next() else { return Err(PemError::Unfinished(blocks)) };
            match line.trim() {
                line if line == end => break,
                line if line.starts_with("-----") => return Err(PemError::Unfinished(blocks)),
                line => body.push_str(line),
            }
        }
        if !decode(&body).is_some_and(|bytes| is_one_sequence(&bytes)) {
            return Err(PemError::Content(blocks));
        }
    }
    if blocks == 0 { Err(PemError::Empty) } else { Ok(()) }
}

/// Base64 (RFC 4648 §4) with its padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let padding = bytes.iter().rev().take_while(|byte| **byte == b'=').count();
    if bytes.is_empty() || !bytes.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut decoded = Vec::with_capacity(bytes.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0);
    for byte in &bytes[..bytes.len() - padding] {
        bits = bits << 6 | u32::from(sextet(*byte)?);
        held += 6;
        if held >= 8 {
            held -= 8;
            decoded.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
        bits &= (1 << held) - 1;
    }
    (bits == 0).then_some(decoded)
}

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// Whether the bytes are exactly one DER SEQUENCE, as its length says.
fn is_one_sequence(bytes: &[u8]) -> bool {
    let [0x30, length, rest @ ..] = bytes else { return false };
    if *length < 0x80 {
        return rest.len() == usize::from(*length);
    }
    let digits = usize::from(length & 0x7f);
    if !(1..=4).contains(&digits) || rest.len() < digits {
        return false;
    }
    let (digits, content) = rest.split_at(digits);
    let length = digits.iter().fold(0_usize, |length, digit| length << 8 | usize::from(*digit));
    content.len() == length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks() {
        // SEQUENCE {}, and SEQUENCE { INTEGER 5 }.
        let one = "-----BEGIN X-----\nMAA=\n-----END X-----\n";
        let other = "-----BEGIN X-----\r\nMAMC\r\nAQU=\r\n-----END X-----";
        let table: &[(&str, Result<(), PemError>)] = &[
            (one, Ok(())),
            (other, Ok(())),
            (&format!("\n{one}\n{other}\n\n"), Ok(())),
            ("", Err(PemError::Empty)),
            ("secret", Err(PemError::Outside(1))),
            (&format!("{one}secret"), Err(PemError::Outside(4))),
            ("-----BEGIN Y-----\nMAA=\n-----END Y-----", Err(PemError::Label("Y".into()))),
            (&format!("{one}-----BEGIN EC PRIVATE KEY-----\nMAA="), Err(PemError::PrivateKey)),
            ("-----BEGIN X-----\nMAA=\n", Err(PemError::Unfinished(1))),
            (&format!("-----BEGIN X-----\nMAA=\n{one}"), Err(PemError::Unfinished(1))),
            ("-----BEGIN X-----\n-----END X-----", Err(PemError::Content(1))),
            ("-----BEGIN X-----\nMAA\n-----END X-----", Err(PemError::Content(1))),
            ("-----BEGIN X-----\nMA=A\n-----END X-----", Err(PemError::Content(1))),
            ("-----BEGIN X-----\nMAE=\n-----END X-----", Err(PemError::Content(1))),
            ("-----BEGIN X-----\nAAAA\n-----END X-----", Err(PemError::Content(1))),
            ("-----BEGIN X-----\nM\u{e9}A=\n-----END X-----", Err(PemError::Content(1))),
        ];
        for (text, result) in table {
            assert_eq!(check(text, "X"), *result, "{text:?}");
        }
    }

    #[test]
    fn lengths_of_more_than_a_byte() {
        let mut bytes = vec![0x30, 0x82, 0x01, 0x00];
        bytes.extend([0; 256]);
        assert!(is_one_sequence(&bytes));
        assert!(!is_one_sequence(&bytes[..259]));
        assert!(!is_one_sequence(&[0x30, 0x80]) && !is_one_sequence(&[0x30, 0x84, 0xff]));
    }
}

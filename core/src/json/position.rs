//! Where in a text a JSON pointer points: line and column, for people who look at the file.
//!
//! Made for findings, which name their place by pointer: the text is scanned once more only when
//! somebody is told about it. The scanner takes any bytes; where they are no JSON it stops, and what
//! was found so far is the answer. Which place suits which finding: [`crate::diagnostic::report`].

use std::fmt;

use super::MAX_DEPTH;

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.line, self.column)
    }
}

impl Position {
    /// The position of a byte of a text; what is behind the end counts as the end.
    #[must_use]
    pub fn of_byte(text: &[u8], byte: usize) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        // A character of UTF-8 is one byte that continues none, and those that continue it.
        let column = 1 + before[begin..].iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        Self { line, column }
    }
}

/// What stands at a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where the value begins; of a pointer to nothing, the value of the nearest place around it.
    pub value: Position,
    /// Where the key begins that the value belongs to; nothing for the top and for entries of lists.
    pub key: Option<Position>,
    /// Where the key stands for the second time in its object.
    pub repeated: Option<Position>,
    /// Whether the pointer points at something; if not, all of the above is the nearest place
    /// around it.
    pub exact: bool,
}

/// Where the value begins that an RFC 6901 pointer names; of a pointer to nothing, the nearest value
/// around it. Of a repeated key the last one counts, as it does for what the text means.
///
/// Nothing comes back for a text without a value and for a text that is no pointer.
#[must_use]
pub fn position(text: &[u8], pointer: &str) -> Option<Position> {
    place(text, pointer).map(|place| place.value)
}

/// Everything that is to be said about the place that an RFC 6901 pointer names.
///
/// Nothing comes back for a text without a value and for a text that is no pointer. Takes time in
/// proportion to the text.
#[must_use]
pub fn place(text: &[u8], pointer: &str) -> Option<Place> {
    let tokens = tokens(pointer)?;
    let mut scan = Scan { text, at: 0, tokens: &tokens, found: Vec::new(), repeated: None };
    scan.run();
    let nearest = *scan.found.last()?;
    let exact = scan.found.len() == tokens.len() + 1;
    let position = |byte| Position::of_byte(text, byte);
    Some(Place {
        value: position(nearest.value),
        key: nearest.key.map(position),
        repeated: scan.repeated.map(position),
        exact,
    })
}

/// The reference tokens of a pointer, their escapes taken back.
fn tokens(pointer: &str) -> Option<Vec<String>> {
    let Some(rest) = pointer.strip_prefix('/') else {
        return pointer.is_empty().then(Vec::new);
    };
    let token = |raw: &str| {
        let sound = raw.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        sound.then(|| raw.replace("~1", "/").replace("~0", "~"))
    };
    rest.split('/').map(token).collect()
}

/// Something on the way to the place, by the bytes where it begins.
#[derive(Clone, Copy)]
struct Step {
    key: Option<usize>,
    value: usize,
}

struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    tokens: &'t [String],
    /// The way as far as it was found: the top, then a step for each token.
    found: Vec<Step>,
    repeated: Option<usize>,
}

/// An object or a list that the scanner is in.
struct Frame {
    is_object: bool,
    /// Whether its pointer is the beginning of the one that is looked for.
    on_the_way: bool,
    /// Entries of a list so far; of an object, how often the key was there that is looked for.
    count: usize,
    /// Which entry of the list is looked for.
    index: Option<usize>,
}

impl Scan<'_> {
    /// Goes through the text as far as it is JSON.
    fn run(&mut self) -> Option<()> {
        let mut stack: Vec<Frame> = Vec::new();
        self.skip_space();
        let mut step = (self.at < self.text.len()).then_some(Step { key: None, value: self.at });
        loop {
            // At the beginning of a value; `step` says that it is on the way.
            if let Some(step) = step {
                self.found.truncate(stack.len());
                self.found.push(step);
            }
            let opened = match self.peek()? {
                open @ (b'{' | b'[') => {
                    self.at += 1;
                    let token = self.tokens.get(stack.len()).filter(|_| step.is_some());
                    let index = token.and_then(|token| index(token));
                    let (is_object, on_the_way) = (open == b'{', token.is_some());
                    stack.push(Frame { is_object, on_the_way, count: 0, index });
                    true
                }
                b'"' => {
                    self.string()?;
                    false
                }
                _ => {
                    self.word()?;
                    false
                }
            };
            if stack.len() > MAX_DEPTH {
                return None;
            }
            step = self.next_value(&mut stack, opened)?;
        }
    }

    /// Goes on to the beginning of the next value: closes what ends here, and reads its key.
    fn next_value(&mut self, stack: &mut Vec<Frame>, opened: bool) -> Option<Option<Step>> {
        let mut first = opened;
        loop {
            self.skip_space();
            let depth = stack.len();
            let frame = stack.last_mut()?;
            let close = if frame.is_object { b'}' } else { b']' };
            let byte = self.peek()?;
            if byte == close {
                self.at += 1;
                stack.pop();
                first = false;
                continue;
            }
            if !first {
                if byte != b',' {
                    return None;
                }
                self.at += 1;
                self.skip_space();
            }
            return if frame.is_object {
                self.key(frame, depth)
            } else {
                let index = frame.count;
                frame.count += 1;
                let wanted = frame.index == Some(index);
                Some(wanted.then_some(Step { key: None, value: self.at }))
            };
        }
    }

    /// Reads a key and goes on to its value; `depth` is that of its object, from 1.
    fn key(&mut self, frame: &mut Frame, depth: usize) -> Option<Option<Step>> {
        let key = self.at;
        if self.peek()? != b'"' {
            return None;
        }
        self.string()?;
        let wanted = frame.on_the_way && is_key(&self.text[key..self.at], &self.tokens[depth - 1]);
        if wanted {
            frame.count += 1;
            if frame.count == 2 && depth == self.tokens.len() {
                self.repeated.get_or_insert(key);
            }
        }
        self.skip_space();
        if self.peek()? != b':' {
            return None;
        }
        self.at += 1;
        self.skip_space();
        Some(wanted.then_some(Step { key: Some(key), value: self.at }))
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| b" \t\r\n".contains(&byte)) {
            self.at += 1;
        }
    }

    /// Goes behind the string that begins here.
    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(())
    }

    /// Goes behind the number or word that begins here.
    fn word(&mut self) -> Option<()> {
        let begin = self.at;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        while self.peek().is_some_and(plain) {
            self.at += 1;
        }
        (self.at > begin).then_some(())
    }
}

/// The entry of a list that a token names: digits without leading zeros.
fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || !token.starts_with(['0', '+']);
    token.parse().ok().filter(|_| plain)
}

/// Whether a string as it stands in the text, quotes included, is this key.
fn is_key(raw: &[u8], key: &str) -> bool {
    if raw.contains(&b'\\') {
        serde_json::from_slice::<String>(raw).is_ok_and(|text| text == key)
    } else {
        raw.get(1..raw.len() - 1) == Some(key.as_bytes())
    }
}

#[cfg(test)]
mod tests;

//! Colours: only where they mean something, and never alone; the marks beside them say the same.

use std::fmt;

/// What a colour means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Came, or is well.
    Green,
    /// Went, or is not well.
    Red,
    /// Changed, or wants to be looked at.
    Yellow,
    /// What something is about.
    Bold,
}

impl Colour {
    /// The text in this colour, for a terminal.
    #[must_use]
    pub fn paint(self, text: &str) -> impl fmt::Display {
        let code = match self {
            Self::Green => 32,
            Self::Red => 31,
            Self::Yellow => 33,
            Self::Bold => 1,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Whether the environment is content with colours: `NO_COLOR` (<https://no-color.org>) with any
/// value switches them off, and so does a terminal that calls itself dumb.
#[must_use]
pub fn wanted() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

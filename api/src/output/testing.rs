//! An output that can be read afterwards, for tests.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::table::Style;
use super::{Format, Output};

/// Answers and messages, kept apart.
#[derive(Default)]
pub(crate) struct Memory {
    answers: Bytes,
    messages: Bytes,
}

#[derive(Clone, Default)]
struct Bytes(Rc<RefCell<Vec<u8>>>);

impl Memory {
    pub(crate) fn output(&self, format: Format) -> Output {
        self.of_style(format, Style::Plain)
    }

    pub(crate) fn terminal(&self, format: Format) -> Output {
        self.of_style(format, Style::Terminal { width: 100 })
    }

    fn of_style(&self, format: Format, style: Style) -> Output {
        let (answers, messages) = (self.answers.clone(), self.messages.clone());
        Output::new(format, style, Box::new(answers), Box::new(messages))
    }

    pub(crate) fn answers(&self) -> String {
        self.answers.text()
    }

    pub(crate) fn messages(&self) -> String {
        self.messages.text()
    }
}

impl Bytes {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl io::Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

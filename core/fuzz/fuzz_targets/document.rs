//! Any bytes, read as each document: no panic, and one meaning in all its forms.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use refgate_core::document::{
    Certificate, Consumer, GlobalRule, Group, Reader, Route, Runtime, Service, Shape,
};
use refgate_core::json;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(parsed) = json::parse(bytes) else { return };
    let value = parsed.value;
    let text = json::to_text(&value);
    let again = json::parse(text.as_bytes()).expect("what was written is read");
    assert!(again.duplicates.is_empty());
    assert_eq!(json::to_text(&again.value), text, "written, read and written again");
    forms::<Group>(&value);
    forms::<Service>(&value);
    forms::<Route>(&value);
    forms::<Runtime>(&value);
    forms::<Consumer>(&value);
    forms::<Certificate>(&value);
    forms::<GlobalRule>(&value);
});

/// All forms of one document: each is made once, and each means the same.
fn forms<T: Shape + Debug + PartialEq>(value: &Value) {
    let (canonical, expanded) = (T::canonical(value), T::expand(value));
    assert_eq!(T::canonical(&canonical), canonical);
    assert_eq!(T::expand(&expanded), expanded);
    assert_eq!(T::canonical(&expanded), canonical);
    assert_eq!(T::expand(&canonical), expanded);
    // To the byte: equal values may stand in another order of keys.
    let text = json::to_text(&canonical);
    assert_eq!(json::to_text(&T::canonical(&expanded)), text);
    let written = json::parse(text.as_bytes()).expect("what was written is read").value;
    assert_eq!(json::to_text(&T::canonical(&written)), text, "canonical text stays as it is");
    let read = read::<T>(value);
    assert_eq!(read, self::read::<T>(&canonical));
    assert_eq!(read, self::read::<T>(&expanded));
    assert_eq!(read, self::read::<T>(&written));
}

/// The document; nothing exactly when there are findings.
fn read<T: Shape>(value: &Value) -> Option<T> {
    let mut findings = Vec::new();
    let read = T::read(value, &mut Reader::new("document.json", &mut findings));
    assert!(read.is_some() || !findings.is_empty(), "nothing is refused without a finding");
    read
}

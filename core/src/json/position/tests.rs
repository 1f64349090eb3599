//! Positions of pointers, by example and of random documents.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;
use crate::json::{join, parse};

/// The text from where a pointer points.
#[track_caller]
fn check(text: &str, pointer: &str, line: usize, column: usize) {
    let found = position(text.as_bytes(), pointer);
    assert_eq!(found, Some(Position { line, column }), "{pointer:?} in {text}");
}

const ROUTE: &str = r#"{
  "paths": [
    "/headers", "/ä", "/b"
  ],
  "match": { "headers": [{"name": "x", "value": "1"}] },
  "a/b~c": 1, "\u0061\n\ud83d\ude00": 2, "": {"": 3}
}
"#;

#[test]
fn values() {
    check(ROUTE, "", 1, 1);
    check(ROUTE, "/paths", 2, 12);
    check(ROUTE, "/paths/0", 3, 5);
    check(ROUTE, "/paths/1", 3, 17);
    check(ROUTE, "/paths/2", 3, 23);
    check(ROUTE, "/match/headers/0/value", 5, 49);
    check(ROUTE, "/a~1b~0c", 6, 12);
    check(ROUTE, "/a\n😀", 6, 39);
    check(ROUTE, "/", 6, 46);
    check(ROUTE, "//", 6, 51);
    check("  1", "", 1, 3);
    check("\r\n\t[\r\n null]", "/0", 3, 2);
}

#[test]
fn pointers_to_nothing_give_the_nearest_value_around() {
    check(ROUTE, "/nothing", 1, 1);
    check(ROUTE, "/paths/3", 2, 12);
    check(ROUTE, "/paths/00", 2, 12);
    check(ROUTE, "/paths/-1", 2, 12);
    check(ROUTE, "/paths/+1", 2, 12);
    check(ROUTE, "/paths/0/deeper", 3, 5);
    check(ROUTE, "/match/headers/0/regex/x", 5, 26);
    assert!(!place(ROUTE.as_bytes(), "/paths/3").is_some_and(|place| place.exact));
}

#[test]
fn what_is_no_pointer_or_no_json_has_no_place() {
    for pointer in ["a", "paths/0", "/a~", "/a~2b", "~0"] {
        assert_eq!(position(ROUTE.as_bytes(), pointer), None, "{pointer}");
    }
    for text in ["", " \n\t"] {
        assert_eq!(position(text.as_bytes(), ""), None, "{text:?}");
    }
}

#[test]
fn keys_and_repeated_keys() {
    let text = r#"{"a": {"x": 1, "x": 2},
 "b": 1, "\u0062": 2, "b": 3,
 "a": {"y": {"x": 4}}}"#;
    let at = |pointer| place(text.as_bytes(), pointer).expect(pointer);
    let some = |line, column| Some(Position { line, column });
    assert_eq!((Some(at("/b").value), at("/b").key), (some(2, 28), some(2, 23)));
    assert_eq!(at("/b").repeated, some(2, 10));
    assert_eq!(at("/a").repeated, some(3, 2));
    assert_eq!((at("/a/y/x").key, at("/a/y/x").repeated), (some(3, 14), None));
    assert_eq!(at("").key, None);
    // The first `a` says nothing any more, but its repeated key is told too.
    assert_eq!(repeated_key(text, "/a/x"), some(1, 16));
}

fn repeated_key(text: &str, pointer: &str) -> Option<Position> {
    place(text.as_bytes(), pointer).and_then(|place| place.repeated)
}

#[test]
fn broken_texts_are_followed_as_far_as_they_go() {
    check("{\"a\": [1, 2, x", "/a/1", 1, 11);
    check("{\"a\": [1, 2 3]}", "/a/2", 1, 7);
    check("{\"a\":", "/a", 1, 6);
    check("{\"a", "/a", 1, 1);
    check("{\"a\": \"\\", "/a", 1, 7);
    check(&"[".repeat(100_000), "/0/0", 1, 3);
}

/// Every pointer into a value, with what is there.
fn pointers(value: &Value) -> Vec<(String, Value)> {
    let mut all = vec![(String::new(), value.clone())];
    let mut next = 0;
    while let Some((pointer, value)) = all.get(next).cloned() {
        next += 1;
        match &value {
            Value::Array(list) => {
                let below = list.iter().enumerate();
                let below = below.map(|(n, item)| (join(&pointer, &n.to_string()), item.clone()));
                all.extend(below);
            }
            Value::Object(object) => {
                let below = object.iter().map(|(key, item)| (join(&pointer, key), item.clone()));
                all.extend(below);
            }
            _ => {}
        }
    }
    all
}

/// A value written with chance in its white space and in the escapes of its strings.
fn write(value: &Value, chance: &mut impl FnMut(usize) -> usize, out: &mut String) {
    let space = |out: &mut String, chance: &mut dyn FnMut(usize) -> usize| {
        out.push_str(["", " ", "\n", "\t \r\n", "\n\n  "][chance(5)]);
    };
    let string = |text: &str, out: &mut String, chance: &mut dyn FnMut(usize) -> usize| {
        out.push('"');
        for letter in text.chars() {
            if chance(3) == 0 || letter.is_control() || ['"', '\\'].contains(&letter) {
                letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                    out.push_str(&format!("\\u{unit:04x}"));
                });
            } else {
                out.push(letter);
            }
        }
        out.push('"');
    };
    match value {
        Value::Array(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                space(out, chance);
                write(item, chance, out);
                space(out, chance);
            }
            out.push(']');
        }
        Value::Object(object) => {
            out.push('{');
            for (index, (key, item)) in object.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                space(out, chance);
                string(key, out, chance);
                space(out, chance);
                out.push(':');
                space(out, chance);
                write(item, chance, out);
                space(out, chance);
            }
            out.push('}');
        }
        Value::String(text) => string(text, out, chance),
        other => out.push_str(&other.to_string()),
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = "[a-c/~\"\\\\ é😀\n0]{0,4}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((text, inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// What begins at a position of a text.
fn from(text: &str, position: Position) -> &str {
    let line: usize = text.split_inclusive('\n').take(position.line - 1).map(str::len).sum();
    let column: usize = text[line..].chars().take(position.column - 1).map(char::len_utf8).sum();
    &text[line + column..]
}

proptest! {
    #[test]
    fn every_pointer_points_at_its_value(value in any_value(), seed: u64) {
        let mut state = seed | 1;
        let mut chance = |most: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % most
        };
        let mut text = String::new();
        write(&value, &mut chance, &mut text);
        prop_assert_eq!(&parse(text.as_bytes()).expect("JSON was written").value, &value);
        for (pointer, there) in pointers(&value) {
            let place = place(text.as_bytes(), &pointer).expect("a value");
            prop_assert!(place.exact);
            let mut values = serde_json::Deserializer::from_str(from(&text, place.value)).into_iter();
            prop_assert_eq!(values.next().transpose().ok().flatten(), Some(there), "{} in {}", pointer, text);
            if let Some(key) = place.key {
                let mut keys = serde_json::Deserializer::from_str(from(&text, key)).into_iter::<String>();
                let key = keys.next().transpose().ok().flatten().expect("a key");
                prop_assert!(pointer.ends_with(&join("", &key)));
            }
        }
    }

    #[test]
    fn any_bytes_are_taken(bytes: Vec<u8>, pointer in "(/[a~01/]{0,3}){0,3}") {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
        if let Some(found) = position(&bytes, &pointer) {
            prop_assert!((1..=lines).contains(&found.line) && found.column >= 1);
        }
    }

    #[test]
    fn almost_json_is_taken(text in "[\\[\\]{}\",:\\\\ \n01ae-]{0,40}", pointer in "(/[ae01]{0,2}){0,3}") {
        let found = place(text.as_bytes(), &pointer);
        if let Ok(parsed) = parse(text.as_bytes()) {
            let there = parsed.value.pointer(&pointer).is_some();
            prop_assert_eq!(found.is_some_and(|place| place.exact), there, "{} in {}", pointer, text);
        }
    }
}

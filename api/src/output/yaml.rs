//! A value as YAML 1.2, in the form that this program and others read back as the same value.
//!
//! Texts stand without quotes only where nobody takes them for anything else, those of YAML 1.1
//! (`yes`, `on`, dates, numbers with colons) included.

use serde_json::Value;

/// The value as one YAML document, with a line break at the end.
#[must_use]
pub fn render(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

/// Writes a value that begins on a line of its own.
fn block(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (key, value) in object {
                indent(depth, out);
                entry(key, value, depth, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                indent(depth, out);
                out.push('-');
                element(item, depth, out);
            }
        }
        value => {
            indent(depth, out);
            out.push_str(&scalar(value));
            out.push('\n');
        }
    }
}

/// Writes a key and its value; the indentation stands already.
fn entry(key: &str, value: &Value, depth: usize, out: &mut String) {
    out.push_str(&string(key));
    out.push(':');
    match value {
        Value::Object(object) if !object.is_empty() => {
            out.push('\n');
            block(value, depth + 1, out);
        }
        value => behind(value, depth, out),
    }
}

/// Writes a value that is no object with keys behind what it belongs to, a key or a dash.
fn behind(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            block(value, depth + 1, out);
        }
        Value::String(text) if is_lines(text) => lines(text, depth + 1, out),
        value => {
            out.push(' ');
            out.push_str(&scalar(value));
            out.push('\n');
        }
    }
}

/// Writes what stands behind the dash of a list.
fn element(item: &Value, depth: usize, out: &mut String) {
    match item {
        Value::Object(object) if !object.is_empty() => {
            // The first key stands beside the dash, the others below it.
            for (at, (key, value)) in object.iter().enumerate() {
                if at == 0 {
                    out.push(' ');
                } else {
                    indent(depth + 1, out);
                }
                entry(key, value, depth + 1, out);
            }
        }
        item => behind(item, depth, out),
    }
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        // Empty lists and objects, numbers, booleans and null are the same in both languages.
        other => other.to_string(),
    }
}

/// A text, quoted as in JSON where it could be taken for something else. What YAML wants escaped
/// and JSON does not is escaped as well.
fn string(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let invisible = |character: char| {
        matches!(
            character,
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
    };
    let quoted = Value::from(text).to_string();
    quoted.chars().fold(String::with_capacity(quoted.len()), |mut out, character| {
        if invisible(character) {
            out.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            out.push(character);
        }
        out
    })
}

fn is_plain(text: &str) -> bool {
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'/');
    let middle =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b' ');
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    begins
        && text.bytes().all(middle)
        && !text.ends_with(' ')
        && !reserved.contains(&text.to_ascii_lowercase().as_str())
}

/// Whether a text is several lines that stand best as such, certificates for example.
fn is_lines(text: &str) -> bool {
    let visible = |line: &str| {
        !line.starts_with(' ') && line.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
    };
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.ends_with('\n')
        && !body.starts_with('\n')
        && body.split('\n').all(visible)
}

fn lines(text: &str, depth: usize, out: &mut String) {
    let (mark, body) = match text.strip_suffix('\n') {
        Some(body) => (" |\n", body),
        None => (" |-\n", text),
    };
    out.push_str(mark);
    for line in body.split('\n') {
        if !line.is_empty() {
            indent(depth, out);
        }
        out.push_str(line);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_reads_well() {
        let value = json!({
            "name": "httpbin", "version": "1.0.0", "labels": {}, "enabled": true, "nothing": null,
            "routes": {"get": {"paths": ["/get", "/users/{id}", "~^/x"], "methods": []}},
            "nodes": [{"host": "127.0.0.1", "port": 80}, {"host": "$env://H"}],
            "certificate": "-----BEGIN-----\nMAA=\n-----END-----\n",
        });
        assert_eq!(
            render(&value),
            "name: httpbin\nversion: \"1.0.0\"\nlabels: {}\nenabled: true\nnothing: null\n\
             routes:\n  get:\n    paths:\n      - /get\n      - \"/users/{id}\"\n      \
             - \"~^/x\"\n    methods: []\nnodes:\n  - host: \"127.0.0.1\"\n    port: 80\n  \
             - host: \"$env://H\"\ncertificate: |\n  -----BEGIN-----\n  MAA=\n  -----END-----\n"
        );
    }

    #[test]
    fn what_is_read_back_is_the_same() {
        let texts = [
            "",
            " ",
            "a",
            "yes",
            "No",
            "on",
            "null",
            "~",
            "1",
            "1.0",
            "0x1",
            "1e3",
            "2026-01-01",
            "12:30",
            "a: b",
            "a #b",
            "#",
            "- a",
            "-",
            "[",
            "{}",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`",
            "'",
            "\"",
            "\\",
            "a\nb",
            "a\nb\n",
            "a\n\nb\n",
            "a\nb\n\n",
            "\na",
            " a\nb",
            "a\n b",
            "a\tb",
            "ä",
            "\u{1f600}",
            "\u{7f}",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "a ",
            "/x",
            "/a b",
            "true",
            "TRUE",
            "e",
            ".inf",
            ".",
            "...",
            "---",
            "<<",
            "=",
        ];
        let mut value = json!({
            "texts": texts.as_slice(), "numbers": [0, -1, 1.5, 1e300, u64::MAX, i64::MIN],
            "nested": [[], {}, [[1, [2]], {"a": [{"b": {}}]}], true, false, null],
        });
        for text in texts {
            value["keys"][text] = json!({"in": text, "deep": [{"a": text, "b": [text]}]});
        }
        let mut options = serde_saphyr::Options::default();
        options.strict_booleans = true;
        for value in [value, json!([]), json!({}), json!("x"), json!(null), json!([1, [2]])] {
            let text = render(&value);
            let read: Value = serde_saphyr::from_str_with_options(&text, options.clone())
                .unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(read, value, "{text}");
        }
    }
}

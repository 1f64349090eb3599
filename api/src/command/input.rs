//! Documents that people write: JSON or YAML, in a file or on standard input.
//!
//! Only the syntax is judged here, and repeated keys, which would be lost on the way to the
//! server; what the keys mean is the server's business. Directories are read by [`super::tree`].

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use refgate_core::json;
use serde_json::Value;

/// Where a document comes from: a path, or `-` for standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file, or for some commands a directory.
    Path(PathBuf),
}

impl FromStr for Source {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err("expected a path, or - for standard input"),
            "-" => Ok(Self::Stdin),
            path => Ok(Self::Path(PathBuf::from(path))),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => out.write_str("standard input"),
            Self::Path(path) => path.display().fmt(out),
        }
    }
}

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It cannot be read.
    #[error("cannot read {name}")]
    Read {
        /// The file.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write to {name}")]
    Write {
        /// The file or directory.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not text.
    #[error("{0} is not UTF-8 text")]
    NotText(String),
    /// It is neither JSON nor YAML, or holds a key twice.
    #[error("{name}: {reason}")]
    Syntax {
        /// The file.
        name: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// It is well formed, but not what the command takes.
    #[error("{name}: {reason}")]
    Unfit {
        /// The file.
        name: String,
        /// What is expected.
        reason: String,
    },
}

/// Reads exactly one document.
///
/// # Errors
/// When it cannot be read or understood.
pub fn document(source: &Source) -> Result<Value, InputError> {
    let mut documents = documents(source)?;
    match (documents.pop(), documents.is_empty()) {
        (Some(document), true) => Ok(document),
        (None, _) => Err(unfit(source, "there is no document in it")),
        (Some(_), false) => Err(unfit(source, "one document is expected, there are several")),
    }
}

/// Reads the documents of a file: one of JSON, any number of YAML, separated by `---`.
///
/// # Errors
/// When they cannot be read or understood.
pub fn documents(source: &Source) -> Result<Vec<Value>, InputError> {
    let (name, bytes) = match source {
        Source::Stdin => {
            let mut bytes = Vec::new();
            let read = io::stdin().lock().read_to_end(&mut bytes);
            (source.to_string(), read.map(|_| bytes))
        }
        Source::Path(path) => (source.to_string(), std::fs::read(path)),
    };
    let bytes = bytes.map_err(|source| InputError::Read { name: name.clone(), source })?;
    let text = String::from_utf8(bytes).map_err(|_| InputError::NotText(name.clone()))?;
    let path = match source {
        Source::Stdin => None,
        Source::Path(path) => Some(path.as_path()),
    };
    parse(&name, &text, Format::of(path, &text))
}

/// A finding about the document of `source` as a whole.
#[must_use]
pub fn unfit(source: &Source, reason: &str) -> InputError {
    InputError::Unfit { name: source.to_string(), reason: reason.to_owned() }
}

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl Format {
    /// By the name of the file; without a name that tells, by the first character.
    fn of(path: Option<&Path>, text: &str) -> Self {
        match path.and_then(Self::of_path) {
            Some(format) => format,
            None if text.trim_start().starts_with(['{', '[']) => Self::Json,
            None => Self::Yaml,
        }
    }

    /// By the name of the file.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }
}

/// Reads text that was already fetched; `name` stands in the errors.
///
/// # Errors
/// When it cannot be understood.
pub fn parse(name: &str, text: &str, format: Format) -> Result<Vec<Value>, InputError> {
    let syntax = |reason: String| InputError::Syntax { name: name.to_owned(), reason };
    match format {
        Format::Json => {
            let parsed = json::parse(text.as_bytes()).map_err(|error| syntax(error.to_string()))?;
            match parsed.duplicates.first() {
                None => Ok(vec![parsed.value]),
                Some(pointer) => Err(syntax(format!("{pointer} stands in it twice"))),
            }
        }
        Format::Yaml => {
            let mut options = serde_saphyr::Options::default();
            // YAML 1.2: `yes`, `no`, `on` and `off` are texts.
            options.strict_booleans = true;
            options.with_snippet = false;
            serde_saphyr::from_multiple_with_options(text, options)
                .map_err(|error| syntax(format!("not valid YAML: {error}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_name_tells_the_format_and_else_the_text() {
        let table = [
            (Some("a.json"), "x: 1", Format::Json),
            (Some("a.yaml"), "{}", Format::Yaml),
            (Some("a.yml"), "", Format::Yaml),
            (Some("a.txt"), " \n{}", Format::Json),
            (None, "[1]", Format::Json),
            (None, "a: 1", Format::Yaml),
        ];
        for (path, text, format) in table {
            assert_eq!(Format::of(path.map(Path::new), text), format, "{path:?} {text:?}");
        }
    }

    #[test]
    fn yaml_is_what_it_looks_like() {
        let text = "paths: [/get, '/a/{x}']\nmethods:\n  - GET\nenabled: true\npriority: -5\n\
                    ratio: 0.5\nnothing: null\nword: yes\nnorway: no\nversion: '1.0'\n80: port\n";
        let documents = parse("x", text, Format::Yaml).expect("YAML");
        assert_eq!(
            documents,
            [json!({
                "paths": ["/get", "/a/{x}"], "methods": ["GET"], "enabled": true, "priority": -5,
                "ratio": 0.5, "nothing": null, "word": "yes", "norway": "no", "version": "1.0",
                "80": "port"
            })]
        );
    }

    #[test]
    fn yaml_may_hold_several_documents() {
        let documents = parse("x", "name: a\n---\nname: b\n", Format::Yaml).expect("YAML");
        assert_eq!(documents, [json!({"name": "a"}), json!({"name": "b"})]);
    }

    #[test]
    fn defects_name_the_file_and_the_place() {
        let table = [
            ("{\"a\": 1, \"a\": 2}", Format::Json, "/a stands in it twice"),
            ("{\"a\": }", Format::Json, "line 1"),
            ("a: 1\na: 2\n", Format::Yaml, "duplicate"),
            ("a: [1\nb: 2\n", Format::Yaml, "line"),
        ];
        for (text, format, part) in table {
            let error = parse("file.x", text, format).expect_err(text).to_string();
            assert!(error.starts_with("file.x: ") && error.contains(part), "{text}: {error}");
            assert!(!error.contains('\n'), "{text}: {error}");
        }
    }
}

//! Paths of an OpenAPI document as patterns of routes.

use crate::pattern::{PathPattern, is_in_parameter_name};

/// A path as a pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) pattern: PathPattern,
    /// What is otherwise than it stands in the document.
    pub(super) note: Option<String>,
}

/// The pattern for a path below `base`.
///
/// # Errors
/// Why there is none, for people.
pub(super) fn pattern(base: &str, path: &str) -> Result<Pattern, String> {
    if !path.starts_with('/') {
        return Err("a path begins with '/'".to_owned());
    }
    if path.contains(['?', '#']) {
        return Err("what tells operations apart by query or fragment is no path: write a route \
                    with a query condition by hand"
            .to_owned());
    }
    let whole = match (base, path) {
        ("", path) => path.to_owned(),
        (base, path) => format!("{base}{path}"),
    };
    let segments: Vec<Segment> = whole.split('/').skip(1).map(Segment::of).collect();
    if segments.iter().all(Segment::is_whole) {
        let mut taken: Vec<String> = Vec::new();
        let (mut text, mut renamed) = (String::new(), Vec::new());
        for segment in &segments {
            text.push('/');
            match segment {
                Segment::Literal(literal) => text.push_str(literal),
                Segment::Parameter(name) | Segment::Mixed(name) => {
                    let new = parameter(name, &mut taken);
                    if new != *name {
                        renamed.push(format!("{name} is called {new}"));
                    }
                    text.push('{');
                    text.push_str(&new);
                    text.push('}');
                }
            }
        }
        let note = (!renamed.is_empty()).then(|| {
            format!("names of parameters have letters, digits, '_' and '-': {}", renamed.join(", "))
        });
        return parsed(&text, note);
    }
    // A parameter that is part of a segment, or a star: what a plain pattern cannot say.
    let text = segments.iter().fold("~".to_owned(), |text, segment| text + "/" + &segment.regex());
    let note = "written as a regular expression, which comes after all plain patterns";
    parsed(&text, Some(note.to_owned()))
}

fn parsed(text: &str, note: Option<String>) -> Result<Pattern, String> {
    match text.parse() {
        Ok(pattern) => Ok(Pattern { pattern, note }),
        Err(error) => Err(error.to_string()),
    }
}

/// What stands between two slashes.
enum Segment {
    Literal(String),
    Parameter(String),
    Mixed(String),
}

impl Segment {
    fn of(text: &str) -> Self {
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match inner {
            Some(name) if !name.is_empty() && !name.contains(['{', '}']) => {
                Self::Parameter(name.to_owned())
            }
            _ if text.contains(['{', '}', '*']) => Self::Mixed(text.to_owned()),
            _ => Self::Literal(text.to_owned()),
        }
    }

    fn is_whole(&self) -> bool {
        !matches!(self, Self::Mixed(_))
    }

    fn regex(&self) -> String {
        match self {
            Self::Literal(text) => escaped(text),
            Self::Parameter(_) => "[^/]+".to_owned(),
            Self::Mixed(text) => {
                let (mut regex, mut rest) = (String::new(), text.as_str());
                while let Some((before, after)) = rest.split_once('{') {
                    let Some((_, after)) = after.split_once('}') else { break };
                    regex += &escaped(before);
                    regex += "[^/]+";
                    rest = after;
                }
                regex + &escaped(rest)
            }
        }
    }
}

fn escaped(text: &str) -> String {
    let special = |character: char| r"\.+*?()|[]{}^$#&-~".contains(character);
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        if special(character) {
            out.push('\\');
        }
        out.push(character);
        out
    })
}

/// A parameter's name as patterns have it, each once.
fn parameter(name: &str, taken: &mut Vec<String>) -> String {
    let plain = |letter: char| if is_in_parameter_name(letter) { letter } else { '_' };
    let mut new: String = name.chars().map(plain).collect();
    while taken.contains(&new) {
        new.push('_');
    }
    taken.push(new.clone());
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let table = [
            ("", "/pets", Some("/pets"), false),
            ("", "/", Some("/"), false),
            ("/v1", "/pets/{petId}", Some("/v1/pets/{petId}"), false),
            ("/v1", "/", Some("/v1/"), false),
            ("", "/a/{pet-id}/{1}", Some("/a/{pet-id}/{1}"), false),
            ("", "/a/{pet-id}/{x.y}", Some("/a/{pet-id}/{x_y}"), true),
            ("", "/a/{x}/{x}", Some("/a/{x}/{x_}"), true),
            ("", "/files/{name}.json", Some(r"~/files/[^/]+\.json"), true),
            ("", "/a-b/{x}:{y}", Some(r"~/a\-b/[^/]+:[^/]+"), true),
            ("", "/a/*", Some(r"~/a/\*"), true),
            ("", "/a?type=cat", None, false),
            ("", "/a#b", None, false),
            ("", "a", None, false),
            ("", "/a//b", None, false),
            ("", "/ä", None, false),
        ];
        for (base, path, expected, noted) in table {
            let found = pattern(base, path);
            let text = found.as_ref().ok().map(|found| found.pattern.as_str());
            assert_eq!(text, expected, "{path}: {found:?}");
            assert_eq!(found.is_ok_and(|found| found.note.is_some()), noted, "{path}");
        }
    }

    #[test]
    fn an_expression_matches_what_it_stands_for() {
        let found = pattern("", "/files/{name}.json").expect("a pattern").pattern;
        assert!(found.matches("/files/a.json"));
        assert!(!found.matches("/files/a/b.json") && !found.matches("/files/axjson"));
    }
}

//! Path patterns of routes: their syntax, what they match, and their rank among each other.
//!
//! The matcher here is the plain meaning of a pattern; a gateway may find the same answer faster.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::document::Regex;
use crate::limits;
use crate::path;

/// A pattern for request paths in normal form.
///
/// `/a` exact; `/a/*` and `/a*` prefix; `/users/{id}/posts` one non-empty segment a parameter, may
/// end in `/*`; `~regex` matches the whole path. Equality, order and hash do not see the names of
/// parameters: the order is rank, the pattern that wins first.
#[derive(Debug, Clone)]
pub struct PathPattern {
    source: String,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    Plain {
        tokens: Vec<Token>,
        parameters: Vec<String>,
    },
    /// `prefix` is literal and stands before what the expression matches.
    Regex {
        prefix: String,
        regex: Regex,
    },
}

/// A step of a plain pattern. The order of the variants is the rank of routing rule 2:
/// literal text or the end, then a parameter, then the wildcard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Token {
    /// The end of the path.
    End,
    /// This byte.
    Literal(u8),
    /// One non-empty segment.
    Parameter,
    /// Whatever follows.
    Wildcard,
}

/// Why a text is not a path pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{source_text:?} is not a path pattern: {reason}")]
pub struct PatternError {
    source_text: String,
    reason: String,
}

impl FromStr for PathPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        parse(text).map_err(|reason| PatternError { source_text: text.to_owned(), reason })
    }
}

fn parse(text: &str) -> Result<PathPattern, String> {
    if text.len() > MAX_PATTERN_BYTES {
        return Err(format!("it is longer than {MAX_PATTERN_BYTES} bytes"));
    }
    if let Some(source) = text.strip_prefix('~') {
        let regex = Regex::new(source).map_err(|error| error.to_string())?;
        return Ok(PathPattern {
            source: text.to_owned(),
            form: Form::Regex { prefix: String::new(), regex },
        });
    }
    if !text.starts_with('/') {
        return Err("it begins neither with '/' nor, as a regular expression, with '~'".to_owned());
    }
    let (body, wildcard) = match text.strip_suffix('*') {
        Some(body) => (body, true),
        None => (text, false),
    };
    if body.contains('*') {
        return Err("'*' may only stand at the end".to_owned());
    }
    let mut tokens = Vec::with_capacity(body.len() + 1);
    let mut parameters: Vec<String> = Vec::new();
    // The literal text with every parameter as one plain letter, to see whether it is normal.
    let mut literal = String::with_capacity(body.len());
    for segment in body.split('/').skip(1) {
        tokens.push(Token::Literal(b'/'));
        literal.push('/');
        if let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            if !is_parameter_name(name) {
                return Err(format!(
                    "{name:?} is not a parameter name: letters, digits, '_' and '-'"
                ));
            }
            if parameters.iter().any(|known| known == name) {
                return Err(format!("the parameter {name:?} stands twice"));
            }
            if parameters.len() == limits::PATTERN_PARAMETERS {
                return Err(format!("it has more than {} parameters", limits::PATTERN_PARAMETERS));
            }
            parameters.push(name.to_owned());
            tokens.push(Token::Parameter);
            literal.push('p');
        } else if segment.contains(['{', '}']) {
            return Err("a parameter such as {id} is a whole segment".to_owned());
        } else {
            tokens.extend(segment.bytes().map(Token::Literal));
            literal.push_str(segment);
        }
    }
    if wildcard && !parameters.is_empty() && !body.ends_with('/') {
        return Err("a pattern with parameters may only end in \"/*\"".to_owned());
    }
    check_literal(&literal)?;
    tokens.push(if wildcard { Token::Wildcard } else { Token::End });
    Ok(PathPattern { source: text.to_owned(), form: Form::Plain { tokens, parameters } })
}

/// Longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = limits::PATTERN_BYTES;

/// Whether requests have this text in their paths as it is written; if not, says why.
pub(crate) fn check_literal(literal: &str) -> Result<(), String> {
    if literal.contains(['?', '#']) {
        return Err("a path has no '?' and no '#'".to_owned());
    }
    if let Some(other) = literal.chars().find(|c| !c.is_ascii_graphic()) {
        let mut bytes = [0; 4];
        let encoded: String =
            other.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")).collect();
        return Err(format!("write {other:?} as {encoded}"));
    }
    match path::normalise(literal, crate::document::EncodedSlashes::Keep) {
        Ok(normal) if normal == literal => Ok(()),
        Ok(_) => Err("no request would match it: request paths are normalised first (\"//\", dot \
                      segments, escapes of plain characters, lower-case escapes)"
            .to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn is_parameter_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_in_parameter_name)
}

/// What the name of a parameter is made of.
pub(crate) fn is_in_parameter_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '-'
}

impl PathPattern {
    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The tokens of a plain pattern, ending in [`Token::End`] or [`Token::Wildcard`]; nothing for
    /// a regular expression.
    #[must_use]
    pub fn tokens(&self) -> Option<&[Token]> {
        match &self.form {
            Form::Plain { tokens, .. } => Some(tokens),
            Form::Regex { .. } => None,
        }
    }

    /// The literal prefix and the expression, of a regular expression.
    #[must_use]
    pub fn regex(&self) -> Option<(&str, &Regex)> {
        match &self.form {
            Form::Plain { .. } => None,
            Form::Regex { prefix, regex } => Some((prefix, regex)),
        }
    }

    /// The names of the parameters, in order.
    #[must_use]
    pub fn parameters(&self) -> &[String] {
        match &self.form {
            Form::Plain { parameters, .. } => parameters,
            Form::Regex { .. } => &[],
        }
    }

    /// The patterns that this one stands for below a path prefix.
    ///
    /// `/api` and `/` are the two patterns `/api` and `/api/`; all else is one pattern.
    #[must_use]
    pub fn below(&self, prefix: &str) -> Vec<Self> {
        if prefix.is_empty() {
            return vec![self.clone()];
        }
        let source = match self.source.strip_prefix('~') {
            Some(_) => self.source.clone(),
            None => format!("{prefix}{}", self.source),
        };
        let form = match &self.form {
            Form::Regex { prefix: before, regex } => {
                Form::Regex { prefix: format!("{prefix}{before}"), regex: regex.clone() }
            }
            Form::Plain { tokens, parameters } => {
                let literals = prefix.bytes().map(Token::Literal);
                Form::Plain {
                    tokens: literals.chain(tokens.iter().cloned()).collect(),
                    parameters: parameters.clone(),
                }
            }
        };
        let mut patterns = vec![Self { source, form }];
        if self.source == "/" {
            let mut tokens: Vec<Token> = prefix.bytes().map(Token::Literal).collect();
            tokens.push(Token::End);
            let form = Form::Plain { tokens, parameters: Vec::new() };
            patterns.push(Self { source: prefix.to_owned(), form });
        }
        patterns
    }

    /// Whether a path in normal form is meant.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        match &self.form {
            Form::Plain { tokens, .. } => matches_tokens(tokens, path.as_bytes()),
            Form::Regex { prefix, regex } => {
                path.strip_prefix(prefix.as_str()).is_some_and(|rest| regex.is_match(rest))
            }
        }
    }
}

fn matches_tokens(tokens: &[Token], path: &[u8]) -> bool {
    let mut rest = path;
    for token in tokens {
        match token {
            Token::End => return rest.is_empty(),
            Token::Wildcard => return true,
            Token::Literal(byte) => match rest.split_first() {
                Some((first, after)) if first == byte => rest = after,
                _ => return false,
            },
            Token::Parameter => {
                let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
                if end == 0 {
                    return false;
                }
                rest = &rest[end..];
            }
        }
    }
    false
}

impl fmt::Display for PathPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.form {
            Form::Regex { prefix, .. } if !prefix.is_empty() => {
                write!(out, "{prefix} + {}", self.source)
            }
            _ => out.write_str(&self.source),
        }
    }
}

impl Ord for PathPattern {
    /// Rank by routing rules 2 and 6: plain patterns before regular expressions; among
    /// plain ones the first token that differs decides; among expressions the longer source, then
    /// their text and prefix, so that the order is total.
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.form, &other.form) {
            (Form::Plain { tokens: a, .. }, Form::Plain { tokens: b, .. }) => a.cmp(b),
            (Form::Plain { .. }, Form::Regex { .. }) => Ordering::Less,
            (Form::Regex { .. }, Form::Plain { .. }) => Ordering::Greater,
            (
                Form::Regex { prefix: before_a, regex: a },
                Form::Regex { prefix: before_b, regex: b },
            ) => {
                let (a, b) = (a.as_str(), b.as_str());
                b.len().cmp(&a.len()).then_with(|| (a, before_a).cmp(&(b, before_b)))
            }
        }
    }
}

impl PartialOrd for PathPattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for PathPattern {}

impl std::hash::Hash for PathPattern {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match &self.form {
            Form::Plain { tokens, .. } => tokens.hash(state),
            Form::Regex { prefix, regex } => (prefix, regex.as_str()).hash(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> PathPattern {
        text.parse().expect(text)
    }

    #[test]
    fn what_is_no_pattern() {
        let table = [
            "", "a", "*", "/a/*/b", "/a**", "/*a", "/{a}{b}", "/x{a}", "/{a}x", "/{}", "/{a b}",
            "/{a.b}", "/{é}", "/{a}/{a}", "/{a}*", "/{a}/b*", "/a//b", "/a/../b", "/./a", "/a?b",
            "/a#b", "/é", "/a b", "/a%", "/%41", "/%c3%a9", "/a\\b", "/%00", "~(", "~[", "/}",
            "/{",
        ];
        for text in table {
            assert!(text.parse::<PathPattern>().is_err(), "{text:?}");
        }
        let many = |count| (0..count).map(|n| format!("/{{p{n}}}")).collect::<String>();
        assert!(many(limits::PATTERN_PARAMETERS).parse::<PathPattern>().is_ok());
        assert!(many(limits::PATTERN_PARAMETERS + 1).parse::<PathPattern>().is_err());
    }

    #[test]
    fn matching() {
        let table = [
            ("/a", "/a", true),
            ("/a", "/a/", false),
            ("/a/*", "/a", false),
            ("/a/*", "/a/", true),
            ("/a/*", "/a/b/c", true),
            ("/a*", "/a", true),
            ("/a*", "/ab/c", true),
            ("/*", "/", true),
            ("/users/{id}/posts", "/users/7/posts", true),
            ("/users/{id}/posts", "/users//posts", false),
            ("/users/{id}/posts", "/users/7/8/posts", false),
            ("/users/{id}", "/users/", false),
            ("/users/{user-id}/{1}/{_}", "/users/7/8/9", true),
            ("/users/{id}/*", "/users/7", false),
            ("/users/{id}/*", "/users/7/", true),
            ("/{a}/{b}", "/x/y", true),
            ("/%C3%A9", "/%C3%A9", true),
            ("~/a[0-9]+", "/a12", true),
            ("~/a[0-9]+", "/a12/b", false),
            ("~/a|/b", "/ab", false),
            ("~/a|/b", "/b", true),
            ("~a", "/a", false),
        ];
        for (text, path, matches) in table {
            assert_eq!(pattern(text).matches(path), matches, "{text} {path}");
        }
    }

    #[test]
    fn prefixes() {
        let effective = |text: &str, prefix| {
            pattern(text).below(prefix).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(effective("/", "/api"), ["/api/", "/api"]);
        assert_eq!(effective("/*", "/api"), ["/api/*"]);
        assert_eq!(effective("/x", "/api"), ["/api/x"]);
        assert_eq!(effective("/x", ""), ["/x"]);
        let regex = &pattern("~/[a-z]+").below("/a.i")[0];
        assert!(regex.matches("/a.i/xyz"));
        assert!(!regex.matches("/api/xyz"));
        assert_ne!(*regex, pattern("~/[a-z]+"));
    }

    #[test]
    fn rank() {
        let winners_first = [
            "/a",
            "/a/b",
            "/a/b/*",
            "/a/{x}",
            "/a/{x}/c",
            "/a/{x}/{y}",
            "/a/{x}/*",
            "/a/*",
            "/a*",
            "/b/*",
            "/{x}",
            "/*",
            "~/abc.*",
            "~/a.*",
        ];
        for pair in winners_first.windows(2) {
            assert!(pattern(pair[0]) < pattern(pair[1]), "{pair:?}");
        }
        assert_eq!(pattern("/a/{x}"), pattern("/a/{y}"));
    }

    proptest! {
        #[test]
        fn order_is_total_and_agrees_with_equality(
            texts in proptest::collection::vec("(/[ab]{0,2}|/\\{[ab]\\}){1,3}(/\\*)?|~/[ab]{1,2}", 3)
        ) {
            let parsed: Vec<PathPattern> = texts.iter().filter_map(|text| text.parse().ok()).collect();
            for a in &parsed {
                for b in &parsed {
                    prop_assert_eq!(a.cmp(b), b.cmp(a).reverse());
                }
            }
        }

        #[test]
        fn any_text_is_answered(text in any::<String>(), path in "/.*") {
            if let Ok(pattern) = text.parse::<PathPattern>() {
                let _ = pattern.matches(&path);
            }
        }
    }
}

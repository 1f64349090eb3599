//! What a request's path has in the place of the parameters of a pattern.

use refgate_core::pattern::{PathPattern, Token};

/// Names and values of the parameters, in order, for a path that the pattern matches; made on the
/// way, so that a request that never asks pays nothing.
pub(crate) fn parameters<'c>(
    pattern: &'c PathPattern,
    path: &'c str,
) -> impl Iterator<Item = (&'c str, &'c str)> {
    let mut tokens = pattern.tokens().unwrap_or_default().iter();
    let mut at = 0;
    let values = std::iter::from_fn(move || {
        loop {
            match tokens.next()? {
                Token::Literal(_) => at += 1,
                Token::Parameter => {
                    let rest = path.get(at..)?;
                    let value = rest.split('/').next()?;
                    at += value.len();
                    return Some(value);
                }
                Token::End | Token::Wildcard => return None,
            }
        }
    });
    pattern.parameters().iter().map(String::as_str).zip(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        type Values = &'static [(&'static str, &'static str)];
        let table: [(&str, &str, &str, Values); 4] = [
            (
                "/users/{id}/posts/{post}",
                "/api",
                "/api/users/7/posts/x%20y",
                &[("id", "7"), ("post", "x%20y")],
            ),
            ("/{a}/*", "", "/é/b/c", &[("a", "é")]),
            ("/a/*", "", "/a/b", &[]),
            ("~/(?<id>[0-9]+)", "", "/7", &[]),
        ];
        for (pattern, prefix, path, expected) in table {
            let pattern: PathPattern = pattern.parse().unwrap();
            let pattern = pattern.below(prefix).remove(0);
            assert!(pattern.matches(path), "{path}");
            assert_eq!(parameters(&pattern, path).collect::<Vec<_>>(), expected, "{path}");
        }
    }
}

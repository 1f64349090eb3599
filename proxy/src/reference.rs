//! Values that only the gateway knows: `"$env://NAME"` and `"$file:///path"`, whole strings only.
//!
//! What a reference stands for is never repeated in a finding: findings travel to whoever may write
//! the configuration, who need not be allowed to read the gateway's files.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read as _;

/// Largest file that a reference may name, in bytes.
const LARGEST: u64 = 1 << 20;

/// Why a reference has no value.
#[derive(Debug, thiserror::Error)]
#[error("{reference} cannot be resolved on this gateway: {reason}")]
pub(crate) struct ReferenceError {
    reference: String,
    reason: String,
}

/// What a text stands for; a text that is no reference stands for itself.
///
/// One newline at the end of a file is not part of the value: editors put it there.
pub(crate) fn resolve(text: &str) -> Result<Cow<'_, str>, ReferenceError> {
    let error = |reason: String| ReferenceError { reference: text.to_owned(), reason };
    if let Some(name) = text.strip_prefix("$env://") {
        return match std::env::var(name) {
            Ok(value) => Ok(Cow::Owned(value)),
            Err(reason) => Err(error(reason.to_string())),
        };
    }
    let Some(path) = text.strip_prefix("$file://") else { return Ok(Cow::Borrowed(text)) };
    match std::fs::metadata(path) {
        // Opening a pipe could wait for ever.
        Ok(found) if !found.is_file() => return Err(error("it is not a regular file".into())),
        _ => {}
    }
    let mut value = String::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut value));
    match read {
        Ok(bytes) if bytes as u64 > LARGEST => Err(error("the file is larger than 1 MiB".into())),
        Ok(_) => {
            let trimmed = value.trim_end_matches('\n').trim_end_matches('\r').len();
            value.truncate(trimmed);
            Ok(Cow::Owned(value))
        }
        Err(reason) => Err(error(reason.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn references() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"origin.test\n").unwrap();
        let in_file = format!("$file://{}", file.path().display());
        assert_eq!(resolve(&in_file).unwrap(), "origin.test");
        assert_eq!(resolve("origin.test").unwrap(), "origin.test");
        // Every test run of cargo has this one.
        assert_eq!(resolve("$env://CARGO_PKG_NAME").unwrap(), "refgate-proxy");
        let missing = resolve("$env://REFGATE_TEST_NOT_SET").unwrap_err().to_string();
        assert!(missing.contains("REFGATE_TEST_NOT_SET"), "{missing}");
        for unusable in ["$file:///nowhere/at/all", "$file:///dev/null", "$file:///tmp"] {
            assert!(resolve(unusable).is_err(), "{unusable}");
        }
    }
}

//! Numbers of versions: SemVer, without build metadata.

use std::fmt;
use std::str::FromStr;

/// A SemVer number that names one content of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(semver::Version);

/// Why a text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a version: {reason}")]
pub struct VersionError {
    text: String,
    reason: String,
}

/// Longest number; it becomes part of a file name.
const MAX_BYTES: usize = crate::limits::VERSION_BYTES;

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let refuse =
            |reason: String| VersionError { text: text.chars().take(80).collect(), reason };
        if text.len() > MAX_BYTES {
            return Err(refuse(format!("longer than {MAX_BYTES} bytes")));
        }
        let version = semver::Version::parse(text)
            .map_err(|error| refuse(format!("{error}; write MAJOR.MINOR.PATCH, such as 1.0.0")))?;
        // SemVer gives numbers that differ only in build metadata the same precedence, and git
        // takes no ref that ends in ".lock".
        if !version.build.is_empty() {
            return Err(refuse("build metadata (+…) does not make another version".to_owned()));
        }
        if text.ends_with(".lock") {
            return Err(refuse("a tag cannot end in \".lock\"".to_owned()));
        }
        Ok(Self(version))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl serde::Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for text in ["1.0.0", "0.0.1", "10.20.30", "1.0.0-rc.1", "1.0.0-alpha"] {
            assert_eq!(text.parse::<Version>().map(|version| version.to_string()), Ok(text.into()));
        }
        let long = format!("1.0.0-{}", "a".repeat(64));
        let bad = [
            "",
            "1",
            "1.0",
            "v1.0.0",
            "01.0.0",
            "1.0.0.0",
            "1.0.0+build",
            "1.0.0 ",
            "../1.0.0",
            "1.0.0-a.lock",
            "1.0.0-é",
            "latest",
            &long,
        ];
        for text in bad {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn order_is_precedence() {
        let ascending = ["0.9.0", "1.0.0-alpha", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0"];
        let parsed: Vec<Version> = ascending.iter().filter_map(|text| text.parse().ok()).collect();
        assert!(parsed.is_sorted());
        assert_eq!(parsed.len(), ascending.len());
    }
}

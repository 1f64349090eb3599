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
        // SemVer gives numbers that differ only in build metadata the same precedence.
        let version = semver::Version::parse(text).ok().filter(|version| version.build.is_empty());
        let version = version.ok_or_else(|| refuse(Misread::of(text).reason()))?;
        // Git takes no ref that ends so.
        if text.ends_with(".lock") {
            return Err(refuse("a tag cannot end in \".lock\"".to_owned()));
        }
        Ok(Self(version))
    }
}

/// A text that is no version, taken apart as far as it resembles one.
struct Misread<'a> {
    /// What stands between the dots, before a hyphen; a `v` in front of it left out.
    numbers: Vec<&'a str>,
    pre: Option<&'a str>,
    has_build: bool,
}

impl<'a> Misread<'a> {
    fn of(text: &'a str) -> Self {
        let number = text.trim();
        let number = number.strip_prefix(['v', 'V']).unwrap_or(number);
        let (number, has_build) = match number.split_once('+') {
            Some((number, _)) => (number, true),
            None => (number, false),
        };
        let (numbers, pre) = match number.split_once('-') {
            Some((numbers, pre)) => (numbers, Some(pre)),
            None => (number, None),
        };
        Self { numbers: numbers.split('.').collect(), pre, has_build }
    }

    /// What is wrong with it, and what to write instead.
    fn reason(&self) -> String {
        let form = format!("write MAJOR.MINOR.PATCH, such as {}", self.nearest());
        match self.defect() {
            Some(defect) => format!("{defect}; {form}"),
            None => form,
        }
    }

    /// What the form alone does not tell.
    fn defect(&self) -> Option<String> {
        if let Some(zero) = self.numbers.iter().find(|number| has_leading_zero(number)) {
            return Some(format!("{zero} begins with a zero"));
        }
        let big = |number: &&&str| is_digits(number) && number.parse::<u64>().is_err();
        if let Some(big) = self.numbers.iter().find(big) {
            return Some(format!("{big} is more than {}", u64::MAX));
        }
        if self.numbers.len() > 3 && self.numbers.iter().all(|number| is_digits(number)) {
            return Some("more than three numbers".to_owned());
        }
        if let Some(pre) = self.pre {
            if pre.split('.').any(str::is_empty) {
                return Some("nothing stands after a hyphen or between two dots".to_owned());
            }
            let is_taken = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
            if let Some(other) = pre.chars().find(|c| !is_taken(*c)) {
                return Some(format!(
                    "{other:?} is none of the letters a to z, digits, hyphens and dots that may \
                     stand after the hyphen"
                ));
            }
            if let Some(zero) = pre.split('.').find(|part| has_leading_zero(part)) {
                return Some(format!("{zero} begins with a zero"));
            }
        }
        let build = "build metadata (+…) does not make another version";
        self.has_build.then(|| build.to_owned())
    }

    /// The version that was most likely meant.
    fn nearest(&self) -> Version {
        let number = |at: usize| self.numbers.get(at).map_or(Ok(0), |text| text.parse());
        let (Ok(major), Ok(minor), Ok(patch)) = (number(0), number(1), number(2)) else {
            return Version(semver::Version::new(1, 0, 0));
        };
        let mut nearest = semver::Version::new(major, minor, patch);
        let whole = Version(nearest.clone());
        if let Some(pre) = self.pre {
            let example = semver::Prerelease::new("rc.1");
            nearest.pre = semver::Prerelease::new(pre).or(example).unwrap_or_default();
        }
        // It may have become too long, or end in what no tag ends in.
        nearest.to_string().parse().unwrap_or(whole)
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether this is a number with a zero in front of it.
fn has_leading_zero(text: &str) -> bool {
    is_digits(text) && text.len() > 1 && text.starts_with('0')
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
    fn what_is_no_version_is_told_what_to_write() {
        let form = |example: &str| format!("write MAJOR.MINOR.PATCH, such as {example}");
        let but = |why: &str, example: &str| format!("{why}; {}", form(example));
        let cases = [
            ("", form("1.0.0")),
            ("latest", form("1.0.0")),
            ("../1.0.0", form("1.0.0")),
            ("1..0", form("1.0.0")),
            ("1.x", form("1.0.0")),
            ("-1.0.0", form("1.0.0")),
            ("2", form("2.0.0")),
            ("2.1", form("2.1.0")),
            ("v2.1.3", form("2.1.3")),
            ("V2", form("2.0.0")),
            (" 2.1.3\n", form("2.1.3")),
            ("2.1-rc.2", form("2.1.0-rc.2")),
            ("2.1-a.lock", form("2.1.0")),
            ("01.2.3", but("01 begins with a zero", "1.2.3")),
            ("1.2.00", but("00 begins with a zero", "1.2.0")),
            ("1.2.3-rc.01", but("01 begins with a zero", "1.2.3-rc.1")),
            (
                "1.18446744073709551616.0",
                but("18446744073709551616 is more than 18446744073709551615", "1.0.0"),
            ),
            ("1.2.3.4", but("more than three numbers", "1.2.3")),
            ("1.2.3-", but("nothing stands after a hyphen or between two dots", "1.2.3")),
            ("1.2.3-a..b", but("nothing stands after a hyphen or between two dots", "1.2.3-rc.1")),
            (
                "1.2.3-é",
                but(
                    "'é' is none of the letters a to z, digits, hyphens and dots that may stand \
                     after the hyphen",
                    "1.2.3-rc.1",
                ),
            ),
            ("1.2.3+b", but("build metadata (+…) does not make another version", "1.2.3")),
            ("1.2-a+b", but("build metadata (+…) does not make another version", "1.2.0-a")),
            ("1.2.3-a.lock", "a tag cannot end in \".lock\"".to_owned()),
        ];
        for (text, reason) in cases {
            let told = text.parse::<Version>().map_err(|error| error.to_string());
            assert_eq!(told, Err(format!("{text:?} is not a version: {reason}")));
        }
        let long = "1".repeat(65);
        let told = long.parse::<Version>().map_err(|error| error.to_string());
        assert_eq!(told, Err(format!("{long:?} is not a version: longer than 64 bytes")));
    }

    #[test]
    fn order_is_precedence() {
        let ascending = ["0.9.0", "1.0.0-alpha", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0"];
        let parsed: Vec<Version> = ascending.iter().filter_map(|text| text.parse().ok()).collect();
        assert!(parsed.is_sorted());
        assert_eq!(parsed.len(), ascending.len());
    }
}

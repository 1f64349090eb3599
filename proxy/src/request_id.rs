//! The id of a request: taken from the client when it is sane, else made here.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderName, HeaderValue};

/// The header that carries the id to the node and back to the client.
pub(crate) const NAME: HeaderName = HeaderName::from_static("x-request-id");

/// The same as answers spell it.
pub(crate) const TITLE: &str = "X-Request-Id";

const LONGEST: usize = 128;

/// An id of visible ASCII without quotes, backslashes, commas and blanks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The client's id, when there is exactly one and it is sane.
    pub(crate) fn accept(headers: &http::HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(NAME).iter();
        let (value, other) = (values.next()?, values.next());
        let bytes = value.as_bytes();
        let sane = other.is_none()
            && (1..=LONGEST).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@~".contains(byte));
        sane.then(|| Self(value.clone()))
    }

    /// No id yet.
    pub(crate) fn none() -> Self {
        Self(HeaderValue::from_static("-"))
    }

    /// A new id: a random UUID.
    pub(crate) fn generate() -> Self {
        // Keyed hashes of a counter: as random as the two keys, without asking the system for
        // entropy at every request.
        static KEYS: OnceLock<(RandomState, RandomState)> = OnceLock::new();
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let (high, low) = KEYS.get_or_init(Default::default);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let random = (u128::from(high.hash_one(count)) << 64) | u128::from(low.hash_one(count));
        let uuid = uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid();
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let text: &str = uuid.hyphenated().encode_lower(&mut text);
        Self(HeaderValue::from_str(text).expect("a UUID is visible ASCII"))
    }

    pub(crate) fn value(&self) -> &HeaderValue {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().expect("an id is visible ASCII")
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn sane_ids_are_kept() {
        let long = "a".repeat(LONGEST);
        let too_long = "a".repeat(LONGEST + 1);
        let table: &[(&[&str], bool)] = &[
            (&["4bf92f3577b34da6a3ce929d0e0e4736"], true),
            (&["Root=1-67891233-abcdef012345678912345678"], true),
            (&[&long], true),
            (&[&too_long], false),
            (&[""], false),
            (&["a b"], false),
            (&["a\"b"], false),
            (&["a", "b"], false),
            (&[], false),
        ];
        for (values, sane) in table {
            let mut headers = HeaderMap::new();
            for value in *values {
                headers.append(NAME, HeaderValue::from_str(value).expect("a header value"));
            }
            assert_eq!(RequestId::accept(&headers).is_some(), *sane, "{values:?}");
        }
    }

    #[test]
    fn made_ids_are_distinct_uuids() {
        let (one, other) = (RequestId::generate(), RequestId::generate());
        assert_ne!(one, other);
        let uuid: uuid::Uuid = one.as_str().parse().expect("a UUID");
        assert_eq!(uuid.get_version_num(), 4);
    }
}

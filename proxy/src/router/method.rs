//! Sets of methods as bits.

use http::HeaderValue;
use refgate_core::document::Method;

/// The methods that a route can name, in the order in which `Allow` lists them.
const METHODS: [Method; 9] = [
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Delete,
    Method::Patch,
    Method::Options,
    Method::Trace,
    Method::Purge,
];

/// The methods that a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MethodSet(u16);

/// One method of a request: a set of one, or of none for a method that no route can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestMethod(u16);

impl RequestMethod {
    pub(crate) fn of(method: &http::Method) -> Self {
        let position = METHODS.iter().position(|known| known.as_str() == method.as_str());
        Self(position.map_or(0, |position| 1 << position))
    }
}

impl MethodSet {
    /// No method at all.
    pub(crate) const NONE: Self = Self(0);
    /// Any method, those that no route can name included.
    pub(crate) const OPEN: Self = Self(u16::MAX);

    /// The set that a route names; an empty list is open.
    pub(crate) fn of(methods: &[Method]) -> Self {
        if methods.is_empty() {
            return Self::OPEN;
        }
        methods.iter().fold(Self::NONE, |set, method| {
            let position = METHODS.iter().position(|known| known == method).unwrap_or(0);
            Self(set.0 | 1 << position)
        })
    }

    /// Whether any method is taken.
    pub(crate) fn is_open(self) -> bool {
        self == Self::OPEN
    }

    pub(crate) fn takes(self, method: RequestMethod) -> bool {
        self.is_open() || self.0 & method.0 != 0
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The methods that it names.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        let named = METHODS.iter().enumerate();
        let named = named.filter(move |(position, _)| self.0 & 1 << position != 0);
        named.map(|(_, method)| method.as_str())
    }

    /// The value of `Allow`.
    pub(crate) fn allow(self) -> Option<HeaderValue> {
        let list: Vec<&str> = self.names().collect();
        HeaderValue::from_str(&list.join(", ")).ok()
    }
}

impl Default for MethodSet {
    fn default() -> Self {
        Self::OPEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        let get = MethodSet::of(&[Method::Get]);
        assert!(get.takes(RequestMethod::of(&http::Method::GET)));
        assert!(!get.takes(RequestMethod::of(&http::Method::HEAD)));
        let purge = http::Method::from_bytes(b"PURGE").expect("a method");
        assert!(MethodSet::of(&[Method::Purge]).takes(RequestMethod::of(&purge)));
        let own = http::Method::from_bytes(b"BREW").expect("a method");
        assert!(!get.takes(RequestMethod::of(&own)));
        assert!(MethodSet::of(&[]).takes(RequestMethod::of(&own)));
        let both = MethodSet::of(&[Method::Post]).with(get);
        assert_eq!(both.allow().as_ref().map(HeaderValue::as_bytes), Some(&b"GET, POST"[..]));
    }
}

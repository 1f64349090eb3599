//! How large things may be: every limit on what people write, once.
//!
//! Whoever enforces a limit takes it from here; `docs/diagnostics.md` is made of [`ALL`].

use Told::{Finding, Refusal};

use crate::diagnostic::Code;

/// A limit, for the reference.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// What is limited.
    pub what: &'static str,
    /// The largest value that is allowed.
    pub most: u64,
    /// What `most` counts.
    pub unit: &'static str,
    /// What a value over it is told as.
    pub told: Told,
}

/// How a value over a limit is told.
#[derive(Debug, Clone, Copy)]
pub enum Told {
    /// As a finding of this code.
    Finding(Code),
    /// As the refusal of the whole request, by this code.
    Refusal(&'static str),
}

macro_rules! limits {
    ($($(#[doc = $what:literal])+ $name:ident: $type:ty = $most:expr, $unit:literal, $told:expr;)+) => {
        $($(#[doc = $what])+ pub const $name: $type = $most;)+

        /// Every limit.
        pub const ALL: &[Limit] = &[
            $(Limit {
                what: concat!($($what),+).trim_ascii(),
                most: $most as u64,
                unit: $unit,
                told: $told,
            }),+
        ];
    };
}

limits! {
    /// One file
    FILE_BYTES: usize = 1 << 20, "bytes", Finding(Code::TooLarge);
    /// Lists and objects within each other
    DEPTH: usize = 127, "levels", Finding(Code::MalformedJson);
    /// Entries of one list or map
    ENTRIES: usize = 10_000, "entries", Finding(Code::TooLarge);
    /// A name of a group, service, route, upstream, certificate or rule
    NAME_BYTES: usize = 63, "characters", Finding(Code::BadName);
    /// A name of a consumer
    CONSUMER_NAME_BYTES: usize = 256, "characters", Finding(Code::BadName);
    /// A name of a variable
    VARIABLE_NAME_BYTES: usize = 64, "characters", Finding(Code::BadName);
    /// A number of a version, `1.0.0`
    VERSION_BYTES: usize = 64, "bytes", Refusal("bad_version");
    /// What a consumer is known by: user name, key of a token, key id
    IDENTIFIER_BYTES: usize = 256, "bytes", Finding(Code::BadValue);
    /// A name of a header
    HEADER_NAME_BYTES: usize = 256, "bytes", Finding(Code::BadName);
    /// A host name; each of its labels 63
    HOST_BYTES: usize = 253, "bytes", Finding(Code::BadHost);
    /// A path pattern, its regular expression included
    PATTERN_BYTES: usize = 4096, "bytes", Finding(Code::BadPath);
    /// Parameters of a path pattern
    PATTERN_PARAMETERS: usize = 64, "parameters", Finding(Code::BadPath);
    /// A path prefix of a service
    PATH_PREFIX_BYTES: usize = 4096, "bytes", Finding(Code::BadPath);
    /// A regular expression, compiled
    REGEX_BYTES: usize = 256 << 10, "bytes", Finding(Code::BadRegex);
    /// Commits that one push brings to a group
    PUSHED_COMMITS: usize = 10_000, "commits", Finding(Code::TooLarge);
    /// A weight, size or count
    COUNT: u32 = i32::MAX as u32, "", Finding(Code::BadValue);
    /// A time
    SECONDS: u32 = 366 * 86_400, "seconds", Finding(Code::BadValue);
    /// Pairs of routes told of one service, conflicts and overlaps together; the rest is left out
    ROUTE_PAIRS: usize = 100, "findings", Finding(Code::RouteOverlap);
}

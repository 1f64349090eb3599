//! How large things may be: every limit on what people write, once.
//!
//! Whoever enforces a limit takes it from here; `docs/diagnostics.md` is made of [`ALL`].

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
    pub code: Code,
}

macro_rules! limits {
    ($($(#[doc = $what:literal])+ $name:ident: $type:ty = $most:expr, $unit:literal, $code:ident;)+) => {
        $($(#[doc = $what])+ pub const $name: $type = $most;)+

        /// Every limit.
        pub const ALL: &[Limit] = &[
            $(Limit {
                what: concat!($($what),+).trim_ascii(),
                most: $most as u64,
                unit: $unit,
                code: Code::$code,
            }),+
        ];
    };
}

limits! {
    /// One file
    FILE_BYTES: usize = 1 << 20, "bytes", TooLarge;
    /// Entries of one list or map
    ENTRIES: usize = 10_000, "entries", TooLarge;
    /// A name of a group, service, route, upstream, certificate or rule
    NAME_BYTES: usize = 63, "characters", BadName;
    /// A name of a consumer
    CONSUMER_NAME_BYTES: usize = 256, "characters", BadName;
    /// A name of a variable
    VARIABLE_NAME_BYTES: usize = 64, "characters", BadName;
    /// A path pattern, its regular expression included
    PATTERN_BYTES: usize = 4096, "bytes", BadPath;
    /// A regular expression, compiled
    REGEX_BYTES: usize = 256 << 10, "bytes", BadRegex;
    /// A time
    SECONDS: u32 = 366 * 86_400, "seconds", BadValue;
    /// Pairs of routes told of one service, conflicts and overlaps together; the rest is left out
    ROUTE_PAIRS: usize = 100, "findings", RouteOverlap;
}

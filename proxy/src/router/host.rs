//! The candidates of one host, found by the request's path.
//!
//! A plain pattern is entered under the hash of its text, with every parameter as one byte of no
//! text. A request walks its path once, byte by byte, and has on the way the hash of each of its
//! beginnings; what is entered under one of them and continues as the path does, is at its path:
//!
//! - `End`: patterns that end here, asked at the end of the path only;
//! - `Below`: patterns that end in `/*`, asked after a slash;
//! - `Within`: other prefixes, `/a*`, asked anywhere, at lengths where there is one;
//! - `Branch`: patterns that have a parameter here, asked at the beginning of a segment; the walk then
//!   goes on behind that segment as well.
//!
//! What comes first by rule 2 is what has most of its text as written, so the walk asks from the
//! end of the path backwards, and at each place: what is below it, its branch, its prefix. Regular
//! expressions come after all that, one by one. The key of an entry is compared byte by byte, so that
//! hashes that happen to be the same change nothing.

use std::sync::Arc;

use refgate_core::pattern::{PathPattern, Token};

use super::Candidate;
use super::bucket::{self, Entry, Search};
use super::rule::Rule;
use super::table::Table;

/// Stands for a parameter in a key: a byte that is in no UTF-8.
const PARAMETER: u8 = 0xFF;

/// What no key has hashed yet.
const START: u64 = 0xCBF2_9CE4_8422_2325;

/// Beginnings of segments that one step of the walk remembers.
const REMEMBERED: usize = 8;

/// How a pattern goes on after the text of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    End,
    Below,
    Within,
    Branch,
}

/// All candidates of one host.
#[derive(Debug)]
pub(super) struct HostIndex<R> {
    /// The host, or the suffix of a wildcard; nothing of any host.
    pub(super) name: Box<str>,
    /// How many candidates there are.
    pub(super) candidates: usize,
    patterns: Table<Arc<Bucket<R>>>,
    /// Which kinds of keys there are of each length in bytes: a bit for each kind.
    lengths: Vec<u8>,
    /// How many keys there are of a length and kind, where there are any; in order.
    counts: Vec<(u32, Kind, u32)>,
    /// How many keys there are of the kind `Within`: most hosts have none.
    within: usize,
    /// Candidates with regular expressions.
    regexes: Arc<Vec<Entry<R>>>,
}

/// What is entered under one key.
#[derive(Debug)]
struct Bucket<R> {
    kind: Kind,
    key: Box<[u8]>,
    entries: Vec<Entry<R>>,
    /// Of a branch: the patterns that go on from here.
    patterns: usize,
}

impl<R> Clone for HostIndex<R> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            candidates: self.candidates,
            patterns: self.patterns.clone(),
            lengths: self.lengths.clone(),
            counts: self.counts.clone(),
            within: self.within,
            regexes: Arc::clone(&self.regexes),
        }
    }
}

impl<R> Clone for Bucket<R> {
    fn clone(&self) -> Self {
        let (key, entries) = (self.key.clone(), self.entries.clone());
        Self { key, entries, ..*self }
    }
}

/// The hash of a text that goes on from one with this hash.
pub(super) fn extend(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The hash of a whole text.
pub(super) fn hash(text: &[u8]) -> u64 {
    finish(text.iter().copied().fold(START, extend), 0)
}

/// [`extend`] carries bits upwards only; tables want all of them to count everywhere.
fn finish(hash: u64, kind: u64) -> u64 {
    let mixed = hash ^ kind.wrapping_mul(0xA076_1D64_78BD_642F);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    mixed ^ mixed >> 29
}

impl Kind {
    fn bit(self) -> u8 {
        1 << self as u8
    }

    fn hash(self, hash: u64) -> u64 {
        finish(hash, self as u64 + 1)
    }
}

/// Key and kind of a plain pattern; nothing of a regular expression.
fn key_of(path: &PathPattern) -> Option<(Vec<u8>, Kind)> {
    let tokens = path.tokens()?;
    let mut key = Vec::with_capacity(tokens.len());
    for token in tokens {
        match token {
            Token::Literal(byte) => key.push(*byte),
            Token::Parameter => key.push(PARAMETER),
            Token::End => return Some((key, Kind::End)),
            Token::Wildcard => {
                let kind = if key.last() == Some(&b'/') { Kind::Below } else { Kind::Within };
                return Some((key, kind));
            }
        }
    }
    None
}

impl<R> HostIndex<R> {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            candidates: 0,
            patterns: Table::default(),
            lengths: Vec::new(),
            counts: Vec::new(),
            within: 0,
            regexes: Arc::default(),
        }
    }

    fn has(&self, kind: Kind, length: usize) -> bool {
        self.lengths.get(length).is_some_and(|kinds| kinds & kind.bit() != 0)
    }

    /// Counts one key more.
    fn count(&mut self, kind: Kind, length: usize) {
        if self.lengths.len() <= length {
            self.lengths.resize(length + 1, 0);
        }
        self.lengths[length] |= kind.bit();
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        match self.counts.binary_search_by_key(&(length, kind), |count| (count.0, count.1)) {
            Ok(position) => self.counts[position].2 += 1,
            Err(position) => self.counts.insert(position, (length, kind, 1)),
        }
        self.within += usize::from(kind == Kind::Within);
    }

    /// Counts one key less.
    fn discount(&mut self, kind: Kind, length: usize) {
        let key = (u32::try_from(length).unwrap_or(u32::MAX), kind);
        let found = self.counts.binary_search_by_key(&key, |count| (count.0, count.1));
        let Ok(position) = found else { return };
        self.counts[position].2 -= 1;
        if self.counts[position].2 == 0 {
            self.counts.remove(position);
            self.lengths[length] &= !kind.bit();
        }
        self.within -= usize::from(kind == Kind::Within);
    }

    /// The bucket of a key, made where there is none.
    fn bucket(&mut self, kind: Kind, key: &[u8]) -> &mut Bucket<R> {
        let hash = kind.hash(key.iter().copied().fold(START, extend));
        let is_meant = |bucket: &Arc<Bucket<R>>| bucket.kind == kind && *bucket.key == *key;
        if self.patterns.get(hash, is_meant).is_none() {
            self.count(kind, key.len());
        }
        let new = || Arc::new(Bucket { kind, key: key.into(), entries: Vec::new(), patterns: 0 });
        Arc::make_mut(self.patterns.get_or_insert(hash, is_meant, new))
    }

    /// Takes out the bucket of a key when nothing is left in it.
    fn clear(&mut self, kind: Kind, key: &[u8]) {
        let bucket = self.bucket(kind, key);
        if bucket.entries.is_empty() && bucket.patterns == 0 {
            let hash = kind.hash(key.iter().copied().fold(START, extend));
            self.patterns.remove(hash, |bucket| bucket.kind == kind && *bucket.key == *key);
            self.discount(kind, key.len());
        }
    }
}

/// The beginnings of a key that stand before a parameter.
fn branches(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_parameter = |(_, byte): &(usize, &u8)| **byte == PARAMETER;
    key.iter().enumerate().filter(is_parameter).map(|(position, _)| &key[..position])
}

impl<R: AsRef<Rule>> HostIndex<R> {
    pub(super) fn insert(&mut self, candidate: &Arc<Candidate<R>>) {
        self.candidates += 1;
        let Some((key, kind)) = key_of(&candidate.path) else {
            bucket::enter(Arc::make_mut(&mut self.regexes), candidate);
            return;
        };
        for branch in branches(&key) {
            self.bucket(Kind::Branch, branch).patterns += 1;
        }
        bucket::enter(&mut self.bucket(kind, &key).entries, candidate);
    }

    pub(super) fn remove(&mut self, candidate: &Arc<Candidate<R>>) {
        let Some((key, kind)) = key_of(&candidate.path) else {
            if bucket::withdraw(Arc::make_mut(&mut self.regexes), candidate) {
                self.candidates -= 1;
            }
            return;
        };
        let is_there = bucket::withdraw(&mut self.bucket(kind, &key).entries, candidate);
        self.clear(kind, &key);
        if is_there {
            self.candidates -= 1;
            for branch in branches(&key) {
                let patterns = &mut self.bucket(Kind::Branch, branch).patterns;
                *patterns = patterns.saturating_sub(1);
                self.clear(Kind::Branch, branch);
            }
        }
    }

    /// The first candidate that takes the request; those that only want another method are noted.
    pub(super) fn find(&self, search: &mut Search<'_>) -> Option<&Arc<Candidate<R>>> {
        let path = search.request.path.as_bytes();
        let start = Walk { at: 0, key: 0, hash: START, segment: None };
        self.walk(path, &start, search).or_else(|| {
            let mut regexes = self.regexes.iter();
            let text = search.request.path;
            regexes
                .find(|entry| entry.candidate.path.matches(text) && entry.takes(search))
                .map(|entry| &entry.candidate)
        })
    }

    /// What begins like the walk so far, and then goes on as the path does.
    fn walk(
        &self,
        path: &[u8],
        from: &Walk<'_>,
        search: &mut Search<'_>,
    ) -> Option<&Arc<Candidate<R>>> {
        // No key is longer than what lengths are known of.
        let longest = (from.at + self.lengths.len()).saturating_sub(from.key + 1);
        let end = path.len().min(longest);
        let mut beginnings = [(0_usize, 0_u64); REMEMBERED];
        let mut remembered = 0;
        let (mut at, mut hash) = (from.at, from.hash);
        while at < end && remembered < REMEMBERED {
            let byte = path[at];
            hash = extend(hash, byte);
            at += 1;
            if byte == b'/' {
                beginnings[remembered] = (at, hash);
                remembered += 1;
            }
        }
        let here = from.on(at, hash);
        let found = if at == path.len() {
            self.ask(Kind::End, path, &here, search)
        } else if remembered == REMEMBERED && at < end {
            // Bounded by the longest key, as all walks within walks are.
            self.walk(path, &here, search)
        } else {
            None
        };
        found.or_else(|| {
            let mut beginnings = beginnings[..remembered].iter().rev();
            beginnings.find_map(|(at, hash)| self.at_segment(path, &from.on(*at, *hash), search))
        })
    }

    /// What is entered within the segment that begins here, and then here.
    fn at_segment(
        &self,
        path: &[u8],
        here: &Walk<'_>,
        search: &mut Search<'_>,
    ) -> Option<&Arc<Candidate<R>>> {
        self.within(path, here, search)
            .or_else(|| {
                if !self.has(Kind::Branch, here.key) {
                    return None;
                }
                let segment = path[here.at..].iter().position(|byte| *byte == b'/');
                let end = segment.map_or(path.len(), |length| here.at + length);
                // The hash alone will do: a walk that begins in error finds nothing, as what it finds is
                // compared as a whole.
                let hash = Kind::Branch.hash(here.hash);
                if end == here.at || self.patterns.get(hash, |_| true).is_none() {
                    return None;
                }
                let segment = Segment { key: here.key, start: here.at, end, before: here.segment };
                let behind = Walk {
                    at: end,
                    key: here.key + 1,
                    hash: extend(here.hash, PARAMETER),
                    segment: Some(&segment),
                };
                self.walk(path, &behind, search)
            })
            .or_else(|| self.ask(Kind::Below, path, here, search))
    }

    /// Of the prefixes that end within a segment, the longest one that takes the request. They are met
    /// from the shortest on, so that one pass does; the last one counts.
    fn within(
        &self,
        path: &[u8],
        here: &Walk<'_>,
        search: &mut Search<'_>,
    ) -> Option<&Arc<Candidate<R>>> {
        if self.within == 0 {
            return None;
        }
        let mut last = None;
        let (mut at, mut hash) = (here.at, here.hash);
        while let Some(byte) = path.get(at).filter(|byte| **byte != b'/') {
            hash = extend(hash, *byte);
            at += 1;
            let there = here.on(at, hash);
            if there.key >= self.lengths.len() {
                break;
            }
            last = self.ask(Kind::Within, path, &there, search).or(last);
        }
        last
    }

    fn ask(
        &self,
        kind: Kind,
        path: &[u8],
        here: &Walk<'_>,
        search: &mut Search<'_>,
    ) -> Option<&Arc<Candidate<R>>> {
        if !self.has(kind, here.key) {
            return None;
        }
        let is_meant =
            |bucket: &Arc<Bucket<R>>| bucket.kind == kind && here.has_come(&bucket.key, path);
        let bucket = self.patterns.get(kind.hash(here.hash), is_meant)?;
        bucket::first(&bucket.entries, search)
    }
}

/// Where a walk is.
#[derive(Debug, Clone, Copy)]
struct Walk<'w> {
    /// Bytes of the path behind it.
    at: usize,
    /// Bytes of a key that are as long: a parameter is one.
    key: usize,
    /// Of that key.
    hash: u64,
    /// The last segment that was taken for a parameter.
    segment: Option<&'w Segment<'w>>,
}

/// A segment of the path that was taken for a parameter.
#[derive(Debug)]
struct Segment<'w> {
    /// Bytes of the key before the parameter.
    key: usize,
    start: usize,
    end: usize,
    before: Option<&'w Self>,
}

impl<'w> Walk<'w> {
    /// The walk, on to a later place of the path with nothing but text between.
    fn on(&self, at: usize, hash: u64) -> Walk<'w> {
        Walk { at, key: self.key + (at - self.at), hash, segment: self.segment }
    }

    /// Whether this key is the one that the walk has made of the path.
    fn has_come(&self, key: &[u8], path: &[u8]) -> bool {
        if key.len() != self.key {
            return false;
        }
        let (mut key, mut at, mut segment) = (key, self.at, self.segment);
        while let Some(parameter) = segment {
            let Some((before, text)) = key.split_at_checked(parameter.key) else { return false };
            let Some((PARAMETER, text)) = text.split_first().map(|(first, text)| (*first, text))
            else {
                return false;
            };
            if path.get(parameter.end..at) != Some(text) {
                return false;
            }
            (key, at, segment) = (before, parameter.start, parameter.before);
        }
        path.get(..at) == Some(key)
    }
}

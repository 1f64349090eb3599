//! Who is signed in: sessions in memory, known to the browser by a random id. They end with the
//! process, with their token, after a while unused, and when there are too many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::auth::{Token, TokenHash};

/// How long a session lasts after its last use.
pub(super) const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// Sessions at one time; the one that was unused for longest makes room.
const MOST: usize = 4096;
/// Attempts to sign in that an address has in each [`WINDOW`].
const ATTEMPTS: u32 = 10;
/// The time in which attempts are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// Who is signed in, and who tries to.
#[derive(Default)]
pub(crate) struct Sessions {
    open: Mutex<HashMap<String, Record>>,
    attempts: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

struct Record {
    token: TokenHash,
    csrf: String,
    used: Instant,
    notice: Option<Notice>,
}

/// What a page tells once about what was just done.
#[derive(Debug, Clone, Default)]
pub(super) struct Notice {
    pub(super) text: String,
    /// Where more is told, and what it is called.
    pub(super) link: Option<(String, String)>,
    /// Findings about what was done.
    pub(super) warnings: Vec<String>,
}

/// What a session is to a request.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) token: TokenHash,
    pub(super) csrf: String,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sessions {
    /// A new session of who has this token; gives the id that the browser shall keep.
    pub(super) fn begin(&self, token: TokenHash) -> String {
        let now = Instant::now();
        let mut open = lock(&self.open);
        open.retain(|_, record| now.duration_since(record.used) < LIFETIME);
        if open.len() >= MOST {
            let oldest = open.iter().min_by_key(|(_, record)| record.used);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                open.remove(&oldest);
            }
        }
        // As hard to guess as a token.
        let (id, csrf) = (Token::generate(), Token::generate());
        let csrf = csrf.reveal().to_owned();
        open.insert(id.reveal().to_owned(), Record { token, csrf, used: now, notice: None });
        id.reveal().to_owned()
    }

    /// The session of this id; it lasts anew from now.
    pub(super) fn find(&self, id: &str) -> Option<Session> {
        self.find_at(id, Instant::now())
    }

    fn find_at(&self, id: &str, now: Instant) -> Option<Session> {
        let mut open = lock(&self.open);
        let record = open.get_mut(id)?;
        if now.saturating_duration_since(record.used) >= LIFETIME {
            open.remove(id);
            return None;
        }
        record.used = now;
        Some(Session { id: id.to_owned(), token: record.token, csrf: record.csrf.clone() })
    }

    /// Ends a session.
    pub(super) fn end(&self, id: &str) {
        lock(&self.open).remove(id);
    }

    /// Leaves something for the next page to tell.
    pub(super) fn leave(&self, id: &str, notice: Notice) {
        if let Some(record) = lock(&self.open).get_mut(id) {
            record.notice = Some(notice);
        }
    }

    /// Takes what was left.
    pub(super) fn take(&self, id: &str) -> Option<Notice> {
        lock(&self.open).get_mut(id)?.notice.take()
    }

    /// Counts an attempt to sign in from an address; nothing when it may go on, else how long it has
    /// to wait.
    pub(super) fn attempt(&self, from: Option<IpAddr>) -> Option<Duration> {
        self.attempt_at(from?, Instant::now())
    }

    fn attempt_at(&self, from: IpAddr, now: Instant) -> Option<Duration> {
        let mut attempts = lock(&self.attempts);
        if attempts.len() >= MOST {
            attempts.retain(|_, (begun, _)| now.saturating_duration_since(*begun) < WINDOW);
        }
        let (begun, count) = attempts.entry(from).or_insert((now, 0));
        let age = now.saturating_duration_since(*begun);
        if age >= WINDOW {
            (*begun, *count) = (now, 0);
        } else if *count >= ATTEMPTS {
            return Some(WINDOW.saturating_sub(age));
        }
        *count += 1;
        None
    }

    /// Forgets the attempts of an address: somebody there has shown a token.
    pub(super) fn welcome(&self, from: Option<IpAddr>) {
        if let Some(from) = from {
            lock(&self.attempts).remove(&from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_while_it_is_used() {
        let sessions = Sessions::default();
        let token = Token::generate();
        let id = sessions.begin(token.hash());
        let begun = Instant::now();
        let hour = Duration::from_secs(3600);
        assert!(sessions.find_at(&id, begun + 11 * hour).is_some());
        assert!(sessions.find_at(&id, begun + 22 * hour).is_some(), "it was used in between");
        assert!(sessions.find_at(&id, begun + 35 * hour).is_none());
        assert!(sessions.find_at(&id, begun + 35 * hour).is_none());
        assert_ne!(sessions.begin(token.hash()), sessions.begin(token.hash()));
    }

    #[test]
    fn there_is_an_end_to_how_many() {
        let sessions = Sessions::default();
        let token = Token::generate();
        let first = sessions.begin(token.hash());
        for _ in 0..MOST {
            sessions.begin(token.hash());
        }
        assert_eq!(lock(&sessions.open).len(), MOST);
        assert!(sessions.find(&first).is_none());
    }

    #[test]
    fn attempts_are_limited_by_address() {
        let sessions = Sessions::default();
        let now = Instant::now();
        let [one, other] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        for _ in 0..ATTEMPTS {
            assert_eq!(sessions.attempt_at(one, now), None);
        }
        assert_eq!(sessions.attempt_at(one, now), Some(WINDOW));
        assert_eq!(sessions.attempt_at(other, now), None);
        assert_eq!(sessions.attempt_at(one, now + WINDOW), None);
        sessions.welcome(Some(one));
        assert_eq!(sessions.attempt_at(one, now), None);
    }
}

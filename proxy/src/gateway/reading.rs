//! What the proxy asks of reads from the client of one request, and what came of them.
//!
//! Pingora watches the client while it waits for a node: a read that fails is what ends a running
//! try. In HTTP/1 reads are those of [`super::client_stream`], in HTTP/2 of [`super::h2_request`].

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use pingora::proxy::Session;
use tokio::time::Instant;

use super::client_stream::ClientStream;
use super::room::Room;

/// Shared between the proxy and what reads.
#[derive(Debug)]
pub(crate) struct Reading {
    opened: Instant,
    /// When a read must fail, in milliseconds since `opened`; 0: never.
    deadline: AtomicU64,
    /// Whether a body is to come that must not come too slowly.
    paced: AtomicBool,
    /// A [`Cut`], as a number; 0: none.
    cut: AtomicU8,
    /// Whether there is a `room`.
    watched: AtomicBool,
    /// What says whether the node takes more of the body, while there is much of it.
    room: Mutex<Option<Room>>,
}

/// Why a read was made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The time for all tries was over.
    Late,
    /// The body came too slowly.
    Slow,
    /// The node took nothing of the body for too long.
    Full,
}

impl Reading {
    pub(crate) fn new() -> Self {
        Self {
            opened: Instant::now(),
            deadline: AtomicU64::new(0),
            paced: AtomicBool::new(false),
            cut: AtomicU8::new(0),
            watched: AtomicBool::new(false),
            room: Mutex::new(None),
        }
    }

    /// That of a session, where there is one.
    pub(crate) fn of(session: &Session) -> Option<&Self> {
        match ClientStream::of(session.stream()) {
            Some(stream) => Some(stream.reading()),
            None => session.req_header().extensions.get::<Arc<Self>>().map(AsRef::as_ref),
        }
    }

    /// Forgets the request before.
    pub(crate) fn begin(&self) {
        self.disarm();
        self.pace(false);
        self.unwatch();
        self.cut.store(0, Ordering::Relaxed);
    }

    /// Makes reads fail at `deadline`.
    pub(crate) fn arm(&self, deadline: std::time::Instant) {
        let after = Instant::from_std(deadline).saturating_duration_since(self.opened);
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX).max(1);
        self.deadline.store(millis, Ordering::Relaxed);
    }

    /// Takes back [`Self::arm`].
    pub(crate) fn disarm(&self) {
        self.deadline.store(0, Ordering::Relaxed);
    }

    /// When reads must fail.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.deadline.load(Ordering::Relaxed) {
            0 => None,
            millis => self.opened.checked_add(Duration::from_millis(millis)),
        }
    }

    /// Whether what is to come is a body that must not come too slowly.
    pub(crate) fn pace(&self, paced: bool) {
        self.paced.store(paced, Ordering::Relaxed);
    }

    pub(crate) fn is_paced(&self) -> bool {
        self.paced.load(Ordering::Relaxed)
    }

    /// A read was made to fail.
    pub(crate) fn cut(&self, cut: Cut) {
        self.cut.store(cut as u8 + 1, Ordering::Relaxed);
    }

    /// Why one was, if one was.
    pub(crate) fn was_cut(&self) -> Option<Cut> {
        let cut = self.cut.load(Ordering::Relaxed);
        [Cut::Late, Cut::Slow, Cut::Full].into_iter().find(|own| *own as u8 + 1 == cut)
    }

    /// From here on a part of the body is read when `room` says so.
    pub(crate) fn watch(&self, room: Room) {
        *self.room() = Some(room);
        self.watched.store(true, Ordering::Relaxed);
    }

    /// Takes back [`Self::watch`]; says whether it was in force.
    pub(crate) fn unwatch(&self) -> bool {
        let watched = self.watched.swap(false, Ordering::Relaxed);
        if watched {
            *self.room() = None;
        }
        watched
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// The node says something.
    pub(crate) fn answers(&self) {
        if self.is_watched()
            && let Some(room) = self.room().as_mut()
        {
            room.answers();
        }
    }

    /// A part of the body was read.
    pub(crate) fn passes(&self) {
        if self.is_watched()
            && let Some(room) = self.room().as_mut()
        {
            room.passes();
        }
    }

    /// Waits until a part of the body can be read; gives how large it may be.
    ///
    /// # Errors
    /// When the node has taken nothing for too long.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.is_watched() {
            return Poll::Ready(Ok(usize::MAX));
        }
        let polled = self.room().as_mut().map(|room| room.poll(cx));
        if let Some(Poll::Ready(Err(_))) = polled {
            self.cut(Cut::Full);
        }
        polled.unwrap_or(Poll::Ready(Ok(usize::MAX)))
    }

    fn room(&self) -> MutexGuard<'_, Option<Room>> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

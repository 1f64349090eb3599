//! From a node's host to a socket address, without a request ever waiting for DNS that was
//! answered before.
//!
//! A name is looked up when it is first needed. From then on its addresses are renewed in the
//! background when their time is over, whether or not there are requests; while that takes, and when
//! it fails, the last good ones serve. Addresses take turns; one that refused a connection is passed
//! over for a while as long as there are others.
//!
//! Next: [`resolver`] for who is asked.

pub(crate) mod resolver;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};

use self::resolver::{Answer, Resolver};

/// Addresses are renewed after the time that DNS says, but for these bounds.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// How long one lookup may take. Requests have less patience.
const LOOKUP: Duration = Duration::from_secs(30);
/// How long a failed lookup is believed. Without requests that ask for more, the time to the next one
/// doubles with each failure, up to the longest.
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);
/// How long an address that refused a connection is passed over.
const PASSED_OVER: Duration = Duration::from_secs(5);

/// The addresses of a node.
#[derive(Debug)]
pub(crate) enum Addresses {
    /// The host is an address.
    Fixed(SocketAddr),
    /// The host is a name.
    Named(Arc<Name>),
}

/// A name and what it last stood for.
#[derive(Debug)]
pub(crate) struct Name {
    host: String,
    port: u16,
    resolver: Arc<Resolver>,
    epoch: Instant,
    known: ArcSwapOption<Known>,
    /// What the last lookup failed with, if it did; told with each lookup.
    failed: watch::Sender<Option<Failed>>,
    /// Whether a task keeps the addresses fresh.
    followed: AtomicBool,
    /// Tells the task that a request needs what could not be found.
    needed: Arc<Notify>,
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Known {
    addresses: Vec<(SocketAddr, PassedOver)>,
}

#[derive(Debug, Clone)]
struct Failed {
    at: Instant,
    reason: String,
}

/// Milliseconds since the name's epoch until which an address is passed over.
#[derive(Debug, Default)]
struct PassedOver(AtomicU64);

impl Addresses {
    /// Those of a host, which `resolver` is asked for when it is a name.
    pub(crate) fn new(host: &str, port: u16, resolver: &Arc<Resolver>) -> Self {
        match host.parse::<IpAddr>() {
            Ok(address) => Self::Fixed(SocketAddr::new(address, port)),
            Err(_) => Self::Named(Arc::new(Name::new(host, port, resolver))),
        }
    }

    /// An address to connect to that is not in `but`; nothing when all are.
    pub(crate) async fn next(
        &self,
        but: &[SocketAddr],
        patience: Duration,
    ) -> Result<Option<SocketAddr>, LookupError> {
        match self {
            Self::Fixed(address) => Ok((!but.contains(address)).then_some(*address)),
            Self::Named(name) => name.next(but, patience).await,
        }
    }

    /// Whether there is an address left that is not in `but`, as far as is known.
    pub(crate) fn has_other(&self, but: &[SocketAddr]) -> bool {
        match self {
            Self::Fixed(address) => !but.contains(address),
            Self::Named(name) => name.known.load().as_ref().is_some_and(|known| {
                known.addresses.iter().any(|(address, _)| !but.contains(address))
            }),
        }
    }

    /// The address refused a connection.
    pub(crate) fn refused(&self, address: SocketAddr) {
        if let Self::Named(name) = self {
            name.refused(address);
        }
    }
}

/// Why a name stands for no address.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot resolve {host}: {reason}")]
pub(crate) struct LookupError {
    host: String,
    reason: String,
}

impl Name {
    fn new(host: &str, port: u16, resolver: &Arc<Resolver>) -> Self {
        Self {
            host: host.to_owned(),
            port,
            resolver: Arc::clone(resolver),
            epoch: Instant::now(),
            known: ArcSwapOption::empty(),
            failed: watch::Sender::new(None),
            followed: AtomicBool::new(false),
            needed: Arc::default(),
            turn: AtomicUsize::new(0),
        }
    }

    async fn next(
        self: &Arc<Self>,
        but: &[SocketAddr],
        patience: Duration,
    ) -> Result<Option<SocketAddr>, LookupError> {
        let known = match self.known.load_full() {
            Some(known) => known,
            None => self.first(patience).await?,
        };
        Ok(self.pick(&known, but))
    }

    /// Waits for the first addresses.
    async fn first(self: &Arc<Self>, patience: Duration) -> Result<Arc<Known>, LookupError> {
        // Before anything is asked, so that no answer is missed.
        let mut looked = self.failed.subscribe();
        if !self.followed.swap(true, Ordering::AcqRel) {
            self.follow();
        }
        let before = looked.borrow_and_update().clone();
        if let Some(known) = self.known.load_full() {
            return Ok(known);
        }
        if let Some(failed) = before {
            if failed.at.elapsed() < REST {
                return Err(self.error(failed.reason));
            }
            self.needed.notify_one();
        }
        if tokio::time::timeout(patience, looked.changed()).await.is_err() {
            return Err(self.error("no answer in time".to_owned()));
        }
        let failed = looked.borrow().as_ref().map(|failed| failed.reason.clone());
        self.known.load_full().ok_or_else(|| self.error(failed.unwrap_or_default()))
    }

    /// Keeps the addresses fresh in the background until the node is gone.
    fn follow(self: &Arc<Self>) {
        let needed = Arc::clone(&self.needed);
        let weak = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut rest = REST;
            while let Some(name) = weak.upgrade() {
                let looked = name.look().await;
                let failed_before = name.failed.borrow().is_some();
                match &looked {
                    Ok(_) if failed_before => {
                        tracing::info!(host = name.host, "the host can be resolved again");
                    }
                    Ok(_) => {}
                    Err(_) if failed_before => {}
                    Err(reason) if name.known.load().is_some() => {
                        let host = &name.host;
                        tracing::warn!(host, reason, "cannot resolve; the last addresses stay");
                    }
                    Err(reason) => tracing::warn!(host = name.host, reason, "cannot resolve"),
                }
                let now = Instant::now();
                let failed = looked.as_ref().err();
                let failed = failed.map(|reason| Failed { at: now, reason: reason.clone() });
                name.failed.send_replace(failed);
                drop(name);
                if let Ok(renew_at) = looked {
                    rest = REST;
                    tokio::time::sleep_until(renew_at.into()).await;
                } else {
                    tokio::time::sleep(REST).await;
                    let more = rest.saturating_sub(REST);
                    // Whether a request needs it or the time is over, it is the same.
                    let _ = tokio::time::timeout(more, needed.notified()).await;
                    rest = (rest * 2).min(LONGEST_REST);
                }
            }
        });
    }

    /// Looks the name up; says when to do so again.
    async fn look(&self) -> Result<Instant, String> {
        let found = tokio::time::timeout(LOOKUP, self.resolver.look_up(&self.host)).await;
        let Answer { addresses, fresh_until } =
            found.unwrap_or_else(|_| Err("no answer in time".to_owned()))?;
        let now = Instant::now();
        let renew_at = fresh_until.clamp(now + SHORTEST, now + LONGEST);
        let mut found: Vec<_> =
            addresses.into_iter().map(|address| SocketAddr::new(address, self.port)).collect();
        found.sort_unstable();
        found.dedup();
        let before = self.known.load();
        let passed_over = |address: &SocketAddr| {
            let known = before
                .as_ref()
                .and_then(|known| known.addresses.iter().find(|(own, _)| own == address));
            let until = known.map_or(0, |(_, until)| until.0.load(Ordering::Relaxed));
            PassedOver(AtomicU64::new(until))
        };
        let addresses = found.into_iter().map(|address| (address, passed_over(&address))).collect();
        self.known.store(Some(Arc::new(Known { addresses })));
        Ok(renew_at)
    }

    fn pick(&self, known: &Known, but: &[SocketAddr]) -> Option<SocketAddr> {
        let count = known.addresses.len();
        let turn = if count > 1 { self.turn.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let now = self.millis(Instant::now());
        let in_turn = || {
            (0..count)
                .filter_map(|step| known.addresses.get((turn + step) % count))
                .filter(|(address, _)| !but.contains(address))
        };
        in_turn()
            .find(|(_, passed_over)| passed_over.0.load(Ordering::Relaxed) <= now)
            .or_else(|| in_turn().next())
            .map(|(address, _)| *address)
    }

    fn refused(&self, refused: SocketAddr) {
        if let Some(known) = self.known.load().as_ref()
            && let Some((_, until)) = known.addresses.iter().find(|(own, _)| *own == refused)
        {
            until.0.store(self.millis(Instant::now() + PASSED_OVER), Ordering::Relaxed);
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.epoch);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn error(&self, reason: String) -> LookupError {
        LookupError { host: self.host.clone(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Addresses {
        /// A name that stands for these.
        pub(crate) fn known(addresses: &[&str]) -> Self {
            Self::Named(name(addresses))
        }
    }

    fn name(addresses: &[&str]) -> Arc<Name> {
        let name = Name::new("origin.test", 80, &Arc::default());
        let addresses = addresses
            .iter()
            .map(|address| (address.parse().unwrap(), PassedOver::default()))
            .collect();
        name.known.store(Some(Arc::new(Known { addresses })));
        Arc::new(name)
    }

    async fn next(addresses: &Addresses, but: &[SocketAddr]) -> Option<String> {
        let found = addresses.next(but, Duration::from_secs(5)).await.unwrap();
        found.map(|address| address.to_string())
    }

    #[tokio::test]
    async fn addresses_take_turns() {
        let addresses = Addresses::known(&["10.0.0.1:80", "10.0.0.2:80"]);
        let mut found = Vec::new();
        for _ in 0..4 {
            found.extend(next(&addresses, &[]).await);
        }
        assert_eq!(found, ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.1:80", "10.0.0.2:80"]);
    }

    #[tokio::test]
    async fn refusing_addresses_are_passed_over_while_there_are_others() {
        let addresses = Addresses::known(&["10.0.0.1:80", "10.0.0.2:80"]);
        let one: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let other: SocketAddr = "10.0.0.2:80".parse().unwrap();
        addresses.refused(one);
        for _ in 0..3 {
            assert_eq!(next(&addresses, &[]).await.as_deref(), Some("10.0.0.2:80"));
        }
        assert_eq!(next(&addresses, &[other]).await.as_deref(), Some("10.0.0.1:80"));
        assert!(!addresses.has_other(&[one, other]));
        assert_eq!(next(&addresses, &[one, other]).await, None);
    }

    #[tokio::test]
    async fn literals_need_no_lookup() {
        let addresses = Addresses::new("::1", 80, &Arc::default());
        assert_eq!(next(&addresses, &[]).await.as_deref(), Some("[::1]:80"));
    }

    #[tokio::test]
    async fn names_are_looked_up() {
        let addresses = Addresses::new("localhost", 80, &Arc::default());
        let found = next(&addresses, &[]).await.unwrap();
        let address: SocketAddr = found.parse().unwrap();
        assert!(address.ip().is_loopback());
    }
}

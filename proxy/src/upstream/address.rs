//! From a node's host to a socket address, without a request ever waiting for DNS that was
//! answered before.
//!
//! A name is looked up when it is first needed. Later its addresses are renewed in the background;
//! while that takes, and when it fails, the last good ones serve. Addresses take turns; one that
//! refused a connection is passed over for a while as long as there are others.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

/// How long addresses count as fresh.
const FRESH: Duration = Duration::from_secs(10);
/// How long a failed lookup is believed, and how long renewing rests after a failure.
const REST: Duration = Duration::from_secs(1);
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
    epoch: Instant,
    known: ArcSwapOption<Known>,
    looking: Mutex<Option<(Instant, String)>>,
    renewing: AtomicBool,
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Known {
    addresses: Vec<(SocketAddr, PassedOver)>,
    renew_at: Instant,
}

/// Milliseconds since the name's epoch until which an address is passed over.
#[derive(Debug, Default)]
struct PassedOver(AtomicU64);

impl Addresses {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        match host.parse::<IpAddr>() {
            Ok(address) => Self::Fixed(SocketAddr::new(address, port)),
            Err(_) => Self::Named(Arc::new(Name::new(host, port))),
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
    fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            epoch: Instant::now(),
            known: ArcSwapOption::empty(),
            looking: Mutex::new(None),
            renewing: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
        }
    }

    async fn next(
        self: &Arc<Self>,
        but: &[SocketAddr],
        patience: Duration,
    ) -> Result<Option<SocketAddr>, LookupError> {
        let known = match self.known.load_full() {
            Some(known) => {
                if known.renew_at <= Instant::now() {
                    self.renew();
                }
                known
            }
            None => self.look_first(patience).await?,
        };
        Ok(self.pick(&known, but))
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

    /// The first lookup: one request asks, the others wait for its answer.
    async fn look_first(&self, patience: Duration) -> Result<Arc<Known>, LookupError> {
        let mut failure = self.looking.lock().await;
        if let Some(known) = self.known.load_full() {
            return Ok(known);
        }
        if let Some((at, reason)) = &*failure
            && at.elapsed() < REST
        {
            return Err(self.error(reason.clone()));
        }
        match self.look(patience).await {
            Ok(known) => {
                *failure = None;
                Ok(known)
            }
            Err(error) => {
                *failure = Some((Instant::now(), error.reason.clone()));
                Err(error)
            }
        }
    }

    /// Renews the addresses in the background, once at a time.
    fn renew(self: &Arc<Self>) {
        if self.renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let name = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = name.look(FRESH).await {
                tracing::warn!(host = %name.host, %error, "kept the addresses known before");
                tokio::time::sleep(REST).await;
            }
            name.renewing.store(false, Ordering::Release);
        });
    }

    async fn look(&self, patience: Duration) -> Result<Arc<Known>, LookupError> {
        let lookup = tokio::net::lookup_host((self.host.as_str(), self.port));
        let found: io::Result<Vec<SocketAddr>> = match tokio::time::timeout(patience, lookup).await
        {
            Ok(found) => found.map(Iterator::collect),
            Err(_) => return Err(self.error("no answer in time".to_owned())),
        };
        let mut found = found.map_err(|error| self.error(error.to_string()))?;
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            return Err(self.error("it has no address".to_owned()));
        }
        let before = self.known.load();
        let passed_over = |address: &SocketAddr| {
            let known = before
                .as_ref()
                .and_then(|known| known.addresses.iter().find(|(own, _)| own == address));
            let until = known.map_or(0, |(_, until)| until.0.load(Ordering::Relaxed));
            PassedOver(AtomicU64::new(until))
        };
        let addresses = found.into_iter().map(|address| (address, passed_over(&address))).collect();
        let known = Arc::new(Known { addresses, renew_at: Instant::now() + FRESH });
        self.known.store(Some(Arc::clone(&known)));
        Ok(known)
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
        let name = Name::new("origin.test", 80);
        let addresses = addresses
            .iter()
            .map(|address| (address.parse().unwrap(), PassedOver::default()))
            .collect();
        let renew_at = Instant::now() + FRESH;
        name.known.store(Some(Arc::new(Known { addresses, renew_at })));
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
        let addresses = Addresses::new("::1", 80);
        assert_eq!(next(&addresses, &[]).await.as_deref(), Some("[::1]:80"));
    }

    #[tokio::test]
    async fn names_are_looked_up() {
        let addresses = Addresses::new("localhost", 80);
        let found = next(&addresses, &[]).await.unwrap();
        let address: SocketAddr = found.parse().unwrap();
        assert!(address.ip().is_loopback());
    }
}

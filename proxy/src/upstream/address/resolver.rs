//! Names of nodes asked of DNS, as the system is set up for it.
//!
//! `/etc/hosts` comes first, then the name servers of `/etc/resolv.conf` with its search domains and
//! `ndots`. Both files are read again when they have changed. Answers come with the time that they
//! are good for; what is made of that is up to [`super::Name`].

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Hosts, TokioResolver};

use refgate_core::name::GroupName;

use crate::file_state::FileState;
use crate::metrics::Counter;

const FILES: [&str; 2] = ["/etc/hosts", "/etc/resolv.conf"];

/// How long what `/etc/hosts` says counts as fresh.
const HOSTS_FRESH: Duration = Duration::from_secs(10);

/// How long it is believed that a name does not exist. How often such a name is asked for is decided
/// elsewhere; this only keeps several nodes of one name from asking at the same moment.
const NEGATIVE: Duration = Duration::from_secs(1);

/// Asks DNS.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    /// Asked in the place of the system's; none: the system's.
    servers: Vec<SocketAddr>,
    system: Mutex<Option<Arc<System>>>,
    lookups: Counter,
    failures: Counter,
}

/// What the system's files say.
#[derive(Debug)]
struct System {
    files: [FileState; 2],
    hosts: Hosts,
    dns: TokioResolver,
}

/// What a name stands for.
#[derive(Debug)]
pub(crate) struct Answer {
    /// At least one.
    pub(crate) addresses: Vec<IpAddr>,
    /// How long the answer is good.
    pub(crate) fresh_until: Instant,
}

impl Resolver {
    /// Asks these servers, or those of the system when there are none.
    pub(crate) fn new(servers: Vec<SocketAddr>) -> Self {
        Self { servers, ..Self::default() }
    }

    /// The addresses of a host, of both families; else the reason, for people.
    pub(crate) async fn look_up(&self, host: &str) -> Result<Answer, String> {
        let system = self.system().map_err(|error| error.to_string())?;
        let addresses = in_hosts(&system.hosts, host);
        if !addresses.is_empty() {
            return Ok(Answer { addresses, fresh_until: Instant::now() + HOSTS_FRESH });
        }
        self.lookups.add(1);
        let found = system.dns.lookup_ip(host).await.map_err(reason).and_then(|found| {
            let addresses: Vec<IpAddr> = found.iter().collect();
            if addresses.is_empty() {
                return Err(NO_ADDRESS.to_owned());
            }
            Ok(Answer { addresses, fresh_until: found.valid_until() })
        });
        if found.is_err() {
            self.failures.add(1);
        }
        found
    }

    /// Its counters in Prometheus' text format.
    pub(crate) fn write_metrics(&self, group: &GroupName, text: &mut String) {
        let counters = [
            ("refgate_dns_lookups_total", "Lookups of names of nodes in DNS.", &self.lookups),
            (
                "refgate_dns_failures_total",
                "Of these, the ones without an address.",
                &self.failures,
            ),
        ];
        for (name, help, counter) in counters {
            let count = counter.get();
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
            let _ = writeln!(text, "{name}{{group=\"{group}\"}} {count}");
        }
    }

    fn system(&self) -> Result<Arc<System>, NetError> {
        let mut system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(system) = &*system
            && system.files.iter().all(FileState::is_current)
        {
            return Ok(Arc::clone(system));
        }
        let files = FILES.map(FileState::of);
        let hosts = Hosts::from_system().unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read /etc/hosts");
            Hosts::default()
        });
        let made = Arc::new(System { files, hosts, dns: self.dns()? });
        *system = Some(Arc::clone(&made));
        Ok(made)
    }

    fn dns(&self) -> Result<TokioResolver, NetError> {
        let (mut config, mut options) = read_system_conf().unwrap_or_else(|error| {
            if self.servers.is_empty() {
                tracing::warn!(%error, "/etc/resolv.conf names no DNS server; 127.0.0.1 is asked");
            }
            let local = NameServerConfig::udp_and_tcp(IpAddr::from([127, 0, 0, 1]));
            (ResolverConfig::from_name_servers(vec![local]), ResolverOpts::default())
        });
        if !self.servers.is_empty() {
            config.name_servers = self.servers.iter().map(server).collect();
        }
        // They are looked at here: hickory would ask DNS for the other family of a name that stands
        // in the file with one.
        options.use_hosts_file = ResolveHosts::Never;
        options.negative_max_ttl = Some(NEGATIVE);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ProtocolConfig::Udp, ProtocolConfig::Tcp].map(|protocol| {
        let mut connection = ConnectionConfig::new(protocol);
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn in_hosts(hosts: &Hosts, host: &str) -> Vec<IpAddr> {
    let Ok(name) = Name::from_utf8(host.to_ascii_lowercase()) else { return Vec::new() };
    let found = [RecordType::A, RecordType::AAAA]
        .into_iter()
        .filter_map(|family| hosts.lookup_static_host(&Query::query(name.clone(), family)));
    let addresses = |lookup: hickory_resolver::lookup::Lookup| {
        lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect::<Vec<_>>()
    };
    found.flat_map(addresses).collect()
}

const NO_ADDRESS: &str = "it has no address";

fn reason(error: NetError) -> String {
    if error.is_nx_domain() {
        "there is no such name".to_owned()
    } else if error.is_no_records_found() {
        NO_ADDRESS.to_owned()
    } else {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_the_file_need_no_dns() {
        let mut hosts = Hosts::default();
        let file = "10.0.0.1 one one.test\n::1 One.test # the same\n10.0.0.2 one.test\n";
        hosts.read_hosts_conf(file.as_bytes()).unwrap();
        let found = |host| in_hosts(&hosts, host).iter().map(IpAddr::to_string).collect::<Vec<_>>();
        assert_eq!(found("one"), ["10.0.0.1"]);
        assert_eq!(found("ONE.test"), ["10.0.0.1", "10.0.0.2", "::1"]);
        assert!(found("two.test").is_empty());
    }

    #[tokio::test]
    async fn loopback_has_its_name_without_dns() {
        // Nobody is asked, wherever `localhost` does not stand in the file.
        let resolver = Resolver::new(vec!["127.0.0.1:1".parse().unwrap()]);
        let answer = resolver.look_up("localhost").await.unwrap();
        assert!(answer.addresses.iter().all(IpAddr::is_loopback));
    }
}

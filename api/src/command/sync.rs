//! `refgate sync`: promote a version of a service to other groups.

use std::str::FromStr;

use clap::Args;
use refgate_core::name::{GroupName, ServiceName};
use refgate_core::version::Version;
use serde_json::{Map, Value, json};

use super::Run;
use super::args::WriteArgs;
use super::failure::Failure;
use super::input::{self, Source};
use super::session::Session;
use crate::client::endpoint::Endpoint;
use crate::client::one_or_many;
use crate::output::write::Ending;

/// Flags of `sync`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refgate sync httpbin --from test --to uat --version 1.0.0
  refgate sync httpbin --from uat --to production
  refgate sync httpbin --version 1.0.0 --to production    (a version that is there already)
  refgate sync shop cart@2.1.0 --from test --to uat       (all in one commit, or none)
  refgate sync shop --from test --to uat --take ours:services/shop/routes/cart.json#/priority")]
pub struct SyncArgs {
    /// Services to promote; SERVICE@VERSION gives a new version its number
    #[arg(required = true, value_name = "SERVICE")]
    services: Vec<Named>,
    /// Group whose content is promoted; without it, --version is promoted from its tag
    #[arg(long, value_name = "GROUP", required_unless_present = "version")]
    from: Option<GroupName>,
    /// Groups to promote to
    #[arg(long, value_name = "GROUP", required = true, value_delimiter = ',')]
    to: Vec<GroupName>,
    /// Number for content that has none yet; content that has one keeps it
    #[arg(long, value_name = "VERSION")]
    version: Option<Version>,
    /// What to do where the target was changed by hand in the same place
    #[arg(long, value_name = "SIDE", value_parser = ["abort", "theirs", "ours"])]
    on_conflict: Option<String>,
    /// Settle one conflict: `ours` keeps the target's value, `theirs` takes the version's; FILE and
    /// POINTER as the conflict was told
    #[arg(long, value_name = "SIDE:FILE#POINTER")]
    take: Vec<Settled>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Hosts and nodes for a first sync, as JSON or YAML; `-` reads standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<Source>,
    #[command(flatten)]
    write: WriteArgs,
}

/// `SERVICE` or `SERVICE@VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The service.
    pub service: ServiceName,
    /// Its new number.
    pub version: Option<Version>,
}

impl FromStr for Named {
    type Err = Box<dyn std::error::Error + Send + Sync>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.split_once('@') {
            Some((service, version)) => {
                Self { service: service.parse()?, version: Some(version.parse()?) }
            }
            None => Self { service: text.parse()?, version: None },
        })
    }
}

/// `SIDE:FILE#POINTER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// `ours` or `theirs`.
    side: String,
    /// Path in the tree of the group.
    file: String,
    /// RFC 6901 pointer inside the file; empty for the whole file.
    pointer: String,
}

impl FromStr for Settled {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shape = "expected ours:FILE#POINTER or theirs:FILE#POINTER";
        let (side, place) = text.split_once(':').ok_or(shape)?;
        // Names of files have no `#`.
        let (file, pointer) = place.split_once('#').ok_or(shape)?;
        let sound = matches!(side, "ours" | "theirs") && !file.is_empty();
        if !sound || !(pointer.is_empty() || pointer.starts_with('/')) {
            return Err(shape);
        }
        let [side, file, pointer] = [side, file, pointer].map(str::to_owned);
        Ok(Self { side, file, pointer })
    }
}

impl Run for SyncArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let (endpoint, body, subject) = self.request()?;
        session.write(&self.write, &self.to, &subject, "promoted", |client, options| {
            client.post(&endpoint, &body, options)
        })
    }
}

impl SyncArgs {
    fn request(&self) -> Result<(Endpoint, Value, String), Failure> {
        let mut body = Map::new();
        body.insert("to".to_owned(), one_or_many(&self.to));
        if let Some(side) = &self.on_conflict {
            body.insert("on_conflict".to_owned(), json!(side));
        }
        if !self.take.is_empty() {
            if self.to.len() > 1 {
                return usage("--take settles conflicts of one target: sync --to one at a time");
            }
            let settled = self
                .take
                .iter()
                .map(|one| json!({"file": one.file, "pointer": one.pointer, "take": one.side}));
            body.insert("settled".to_owned(), settled.collect());
        }
        if let Some(reason) = &self.reason {
            body.insert("reason".to_owned(), json!(reason));
        }
        if let Some(source) = &self.file {
            body.insert("runtime".to_owned(), input::document(source)?);
        }
        let (endpoint, subject) = match (self.services.as_slice(), &self.from) {
            ([one], from) => {
                let version = match (&self.version, &one.version) {
                    (Some(a), Some(b)) if a != b => return usage("two different versions"),
                    (a, b) => a.as_ref().or(b.as_ref()),
                };
                let subject = format!("service {}", one.service);
                match (from, version) {
                    (Some(from), version) => {
                        if let Some(version) = version {
                            body.insert("version".to_owned(), json!(version.to_string()));
                        }
                        (Endpoint::of_service(from, &one.service, "sync"), subject)
                    }
                    (None, Some(version)) => {
                        (Endpoint::version_sync(&one.service, version), subject)
                    }
                    (None, None) => return usage("--from or --version is needed"),
                }
            }
            (_, None) => return usage("several services are promoted --from one group"),
            (_, Some(_)) if self.version.is_some() => {
                return usage("with several services the numbers are typed as SERVICE@VERSION");
            }
            (_, Some(_)) if self.file.is_some() => {
                return usage("-f is the runtime of one service; sync it alone the first time");
            }
            (many, Some(from)) => {
                let version = |named: &Named| named.version.as_ref().map(ToString::to_string);
                let services: Map<String, Value> = many
                    .iter()
                    .map(|named| (named.service.to_string(), json!(version(named))))
                    .collect();
                let subject = format!("{} services", services.len());
                body.insert("services".to_owned(), Value::Object(services));
                (Endpoint::of_group(from, "sync"), subject)
            }
        };
        Ok((endpoint, Value::Object(body), subject))
    }
}

fn usage<T>(message: &str) -> Result<T, Failure> {
    Err(Failure::Usage(message.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        sync: SyncArgs,
    }

    fn request(line: &str) -> Result<(String, Value), Failure> {
        let line = Line::try_parse_from(format!("sync {line}").split(' ')).unwrap();
        line.sync.request().map(|(endpoint, body, _)| (endpoint.target(), body))
    }

    #[test]
    fn requests() {
        let table = [
            (
                "httpbin --from test --to uat --version 1.0.0 --reason release",
                "/v1/groups/test/services/httpbin/sync",
                json!({"to": "uat", "version": "1.0.0", "reason": "release"}),
            ),
            (
                "httpbin@1.0.0 --from test --to uat,production --on-conflict theirs",
                "/v1/groups/test/services/httpbin/sync",
                json!({"to": ["uat", "production"], "on_conflict": "theirs", "version": "1.0.0"}),
            ),
            (
                "a --from test --to uat --take ours:services/a/service.json#/labels/x:y#z",
                "/v1/groups/test/services/a/sync",
                json!({"to": "uat", "settled": [{"file": "services/a/service.json",
                    "pointer": "/labels/x:y#z", "take": "ours"}]}),
            ),
            (
                "httpbin --version 1.0.0 --to production",
                "/v1/services/httpbin/versions/1.0.0/sync",
                json!({"to": "production"}),
            ),
            (
                "shop cart@2.1.0 --from test --to uat",
                "/v1/groups/test/sync",
                json!({"to": "uat", "services": {"shop": null, "cart": "2.1.0"}}),
            ),
        ];
        for (line, path, body) in table {
            assert_eq!(request(line).unwrap(), (path.to_owned(), body), "{line}");
        }
    }

    #[test]
    fn a_place_that_is_settled() {
        for text in ["ours", "ours:x.json", "both:x.json#/a", "ours:#/a", "ours:x.json#a"] {
            assert!(text.parse::<Settled>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_wrong_usage() {
        for line in [
            "a b --version 1.0.0 --to uat",
            "a b --from test --version 1.0.0 --to uat",
            "a@1.0.0 --version 2.0.0 --from test --to uat",
            "a --from test --to uat,production --take ours:services/a/service.json#",
        ] {
            assert!(matches!(request(line), Err(Failure::Usage(_))), "{line}");
        }
    }
}

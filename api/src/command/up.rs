//! `refgate up` and `refgate serve`: flags of the programs, handed to [`crate::server`].

use std::env::VarError;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use refgate_core::name::GroupName;
use refgate_proxy::command::log_to_stderr;

use super::failure::Failure;
use crate::auth::Token;
use crate::server::{self, Options};

const TOKEN_HELP: &str = "\
REFGATE_ADMIN_TOKEN in the environment sets the first administrator's token. Without it one is
generated, printed once and kept in the file admin-token of the data directory.";

/// Flags of `up`.
#[derive(Debug, Args)]
#[command(after_help = TOKEN_HELP)]
pub struct UpArgs {
    #[command(flatten)]
    control_plane: ServeArgs,
    /// A gateway: the group that it serves, and where it listens; may be repeated
    #[arg(
        long = "gateway",
        value_name = "GROUP=ADDR",
        default_values = [
            "test=127.0.0.1:9080", "uat=127.0.0.1:9081", "production=127.0.0.1:9082"
        ]
    )]
    gateways: Vec<GatewaySpec>,
}

/// Flags of `serve`.
#[derive(Debug, Args)]
#[command(after_help = TOKEN_HELP)]
pub struct ServeArgs {
    /// Directory of everything that stays; made and filled when it is not there
    #[arg(long, value_name = "DIR", default_value = "./refgate-data")]
    data_dir: PathBuf,
    /// Where the API listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7080")]
    listen: SocketAddr,
    /// How long requests in flight may take to finish after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    drain_timeout: Duration,
}

/// `GROUP=ADDR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaySpec {
    /// The group that the gateway serves.
    pub group: GroupName,
    /// Where it listens.
    pub address: SocketAddr,
}

impl FromStr for GatewaySpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "expected GROUP=ADDR, such as test=127.0.0.1:9080";
        let (group, rest) = text.split_once('=').ok_or(form)?;
        let group =
            group.parse().map_err(|error: refgate_core::name::NameError| error.to_string())?;
        let (address, more) = match rest.split_once(',') {
            Some((address, more)) => (address, Some(more)),
            None => (rest, None),
        };
        match more {
            Some(more) if more.starts_with("tls=") => {
                return Err(
                    "this version does not listen with TLS: leave `,tls=…` out and end TLS \
                            in front of the gateway"
                        .to_owned(),
                );
            }
            Some(_) => return Err(form.to_owned()),
            None => {}
        }
        let address = address
            .parse()
            .map_err(|_| format!("{address:?} is not an address: it looks like 127.0.0.1:9080"))?;
        Ok(Self { group, address })
    }
}

impl UpArgs {
    /// Runs until the process is told to stop.
    ///
    /// # Errors
    /// When the programs could not start, or did not end well.
    pub fn run(self) -> Result<(), Failure> {
        let gateways: Vec<_> =
            self.gateways.into_iter().map(|gateway| (gateway.group, gateway.address)).collect();
        log_to_stderr();
        server::up(self.control_plane.options()?, &gateways).map_err(Failure::program)
    }
}

impl ServeArgs {
    /// Runs until the process is told to stop.
    ///
    /// # Errors
    /// When the program could not start, or did not end well.
    pub fn run(self) -> Result<(), Failure> {
        log_to_stderr();
        server::serve(self.options()?).map_err(Failure::program)
    }

    fn options(self) -> Result<Options, Failure> {
        Ok(Options {
            data_dir: self.data_dir,
            listen: self.listen,
            drain_timeout: self.drain_timeout,
            admin_token: admin_token()?,
        })
    }
}

/// A time within a year, in seconds, fractions allowed.
fn seconds(text: &str) -> Result<Duration, &'static str> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|time| *time <= Duration::from_secs(366 * 86_400))
        .ok_or("a number of seconds is needed")
}

/// The first administrator's token comes from the environment alone: flags can be read by every
/// user of the machine.
fn admin_token() -> Result<Option<Token>, Failure> {
    match std::env::var("REFGATE_ADMIN_TOKEN") {
        Err(VarError::NotPresent) => Ok(None),
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Token::parse(&text)
            .map(Some)
            .map_err(|error| Failure::Usage(format!("REFGATE_ADMIN_TOKEN: {error}"))),
        Err(VarError::NotUnicode(_)) => {
            Err(Failure::Usage("REFGATE_ADMIN_TOKEN is not text".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["", "-1", "1s", "NaN", "inf", "1e300"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn gateways() {
        let spec = |text: &str| {
            text.parse::<GatewaySpec>().map(|spec| format!("{} {}", spec.group, spec.address))
        };
        assert_eq!(spec("test=127.0.0.1:9080"), Ok("test 127.0.0.1:9080".to_owned()));
        assert_eq!(spec("test=[::1]:0"), Ok("test [::1]:0".to_owned()));
        let table = [
            ("", "GROUP=ADDR"),
            ("test", "GROUP=ADDR"),
            ("Test=127.0.0.1:9080", "Test"),
            ("test=9080", "127.0.0.1:9080"),
            ("test=127.0.0.1:9080,tls=127.0.0.1:9443", "does not listen with TLS"),
            ("test=127.0.0.1:9080,x", "GROUP=ADDR"),
        ];
        for (text, part) in table {
            assert!(spec(text).is_err_and(|error| error.contains(part)), "{text}");
        }
    }
}

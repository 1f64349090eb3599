//! `refgate up` and `refgate serve`: flags of the programs, handed to [`crate::server`].

use std::env::VarError;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use refgate_proxy::command::{TrafficArgs, log_to_stderr};

use super::failure::Failure;
use crate::auth::Token;
use crate::server::{self, GatewaySpec, Options};

const TOKEN_HELP: &str = "\
REFGATE_ADMIN_TOKEN in the environment sets the first administrator's token. Without it one is
generated, printed once and kept in the file admin-token of the data directory.";

/// Flags of `up`.
#[derive(Debug, Args)]
#[command(after_help = TOKEN_HELP)]
pub struct UpArgs {
    #[command(flatten)]
    control_plane: ServeArgs,
    /// A gateway: the group that it serves, where it listens, where over TLS, whether it takes HTTP/2
    /// without TLS; may be repeated
    #[arg(
        long = "gateway",
        value_name = "GROUP=ADDR[,tls=ADDR][,h2c]",
        default_values = [
            "test=127.0.0.1:9080", "uat=127.0.0.1:9081", "production=127.0.0.1:9082"
        ]
    )]
    gateways: Vec<GatewaySpec>,
    /// How the gateways treat requests.
    #[command(flatten)]
    traffic: TrafficArgs,
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

impl FromStr for GatewaySpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "expected GROUP=ADDR, such as test=127.0.0.1:9080, and after it as needed \
                    ,tls=ADDR and ,h2c";
        let (group, rest) = text.split_once('=').ok_or(form)?;
        let group =
            group.parse().map_err(|error: refgate_core::name::NameError| error.to_string())?;
        let address = |text: &str| {
            text.parse()
                .map_err(|_| format!("{text:?} is not an address: it looks like 127.0.0.1:9080"))
        };
        let mut parts = rest.split(',');
        let listen = address(parts.next().unwrap_or_default())?;
        let mut spec = Self { group, listen, tls_listen: None, h2c: false };
        for part in parts {
            match part.split_once('=') {
                Some(("tls", text)) if spec.tls_listen.is_none() => {
                    spec.tls_listen = Some(address(text)?);
                }
                None if part == "h2c" => spec.h2c = true,
                _ => return Err(form.to_owned()),
            }
        }
        Ok(spec)
    }
}

impl UpArgs {
    /// Runs until the process is told to stop.
    ///
    /// # Errors
    /// When the programs could not start, or did not end well.
    pub fn run(self) -> Result<(), Failure> {
        log_to_stderr();
        let options = self.control_plane.options()?;
        server::up(options, &self.gateways, &self.traffic).map_err(Failure::program)
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
            text.parse::<GatewaySpec>().map(|spec| {
                let tls = spec.tls_listen.map_or("-".to_owned(), |address| address.to_string());
                format!("{} {} {tls} {}", spec.group, spec.listen, spec.h2c)
            })
        };
        let good = [
            ("test=127.0.0.1:9080", "test 127.0.0.1:9080 - false"),
            ("test=[::1]:0", "test [::1]:0 - false"),
            ("test=127.0.0.1:1,tls=127.0.0.1:2", "test 127.0.0.1:1 127.0.0.1:2 false"),
            ("test=127.0.0.1:1,h2c,tls=[::1]:2", "test 127.0.0.1:1 [::1]:2 true"),
        ];
        for (text, read) in good {
            assert_eq!(spec(text).as_deref(), Ok(read));
        }
        let table = [
            ("", "GROUP=ADDR"),
            ("test", "GROUP=ADDR"),
            ("Test=127.0.0.1:9080", "Test"),
            ("test=9080", "127.0.0.1:9080"),
            ("test=127.0.0.1:9080,tls=9443", "\"9443\" is not an address"),
            ("test=127.0.0.1:9080,tls=[::1]:1,tls=[::1]:2", "GROUP=ADDR"),
            ("test=127.0.0.1:9080,x", "GROUP=ADDR"),
        ];
        for (text, part) in table {
            assert!(spec(text).is_err_and(|error| error.contains(part)), "{text}");
        }
    }
}

//! The cases of the `httpwg` suite for HTTP/2 (RFC 9113), one after the other, against an address.
//!
//! Prints a line for each case, sorted. It judges nothing: what is known to fail stands in `known`, and
//! `http2.sh` compares.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use buffet::IntoHalves;
use buffet::net::TcpStream;
use httpwg::{Config, Conn};

httpwg_macros::gen_catalog!(catalog);

/// How long a case waits for a frame that should come, or for one that should not.
const FRAME: Duration = Duration::from_millis(1500);

type Cases =
    HashMap<&'static str, HashMap<&'static str, HashMap<&'static str, BoxedTest<TcpStream>>>>;

fn main() -> eyre::Result<()> {
    let address = std::env::args().nth(1).ok_or_else(|| eyre::eyre!("name an address"))?;
    let address: SocketAddr = address.parse()?;
    // A case that gives up on a frame panics; that is its way to fail.
    std::panic::set_hook(Box::new(|_| {}));
    buffet::start(async move { tokio::task::LocalSet::new().run_until(run(address)).await })
}

async fn run(address: SocketAddr) -> eyre::Result<()> {
    let cases: Cases = catalog::<TcpStream>();
    let mut results = BTreeMap::new();
    for (suite, sections) in cases {
        for (section, cases) in sections {
            for (name, case) in cases {
                let path = "/anything".to_owned();
                let config = Rc::new(Config { timeout: FRAME, path, ..Config::default() });
                let connection = Conn::new(config, TcpStream::connect(address).await?);
                let ran = tokio::task::spawn_local(case(connection)).await;
                let failure = match ran {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => {
                        Some(format!("{error:#}").lines().next().unwrap_or("").to_owned())
                    }
                    Err(panic) => Some(panic.to_string()),
                };
                results.insert(format!("{suite}, {section}: {name}"), failure);
            }
        }
    }
    let failed = results.values().flatten().count();
    for (name, failure) in &results {
        match failure {
            None => println!("pass  {name}"),
            Some(why) => println!("FAIL  {name} ({why})"),
        }
    }
    println!("{} of {} cases pass", results.len() - failed, results.len());
    Ok(())
}

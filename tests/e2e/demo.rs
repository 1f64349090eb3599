//! The demo does what it says: the script checks each of its steps itself.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use refgate_tests::process::run;
use refgate_tests::programs::{program, workspace};

fn demo(ports: &str) -> anyhow::Result<Command> {
    let refgate = program("refgate")?;
    let bin: &Path = refgate.parent().context("a program is in a directory")?;
    let mut command = Command::new("bash");
    command
        .arg(workspace().join("tests/demo/demo.sh"))
        .env("REFGATE_BIN_DIR", bin)
        .env("REFGATE_DEMO_PORTS", ports)
        .env("DEMO_EXIT", "1")
        .env_remove("REFGATE_DEMO_DIR")
        .env_remove("REFGATE_ADMIN_TOKEN");
    Ok(command)
}

#[test]
fn the_demo_walks_the_whole_story() -> anyhow::Result<()> {
    let ended = run(&mut demo("0 0 0 0")?)?;
    assert_eq!(ended.code(), 0, "{}\n{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("The story is over"), "{}", ended.stdout);
    Ok(())
}

#[test]
fn the_demo_names_a_port_that_is_taken() -> anyhow::Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let ended = run(&mut demo(&format!("0 0 {port} 0"))?)?;
    assert_eq!(ended.code(), 1);
    for text in [format!("port {port} is taken"), "REFGATE_DEMO_PORTS=".to_owned()] {
        assert!(ended.stderr.contains(&text), "{}", ended.stderr);
    }
    Ok(())
}

//! Which binaries are tested.
//!
//! Cargo hands a test only the binaries of its own package, so the others are built
//! here, once per test run. `REFGATE_TEST_BIN_DIR` names a directory with binaries to
//! be tested instead, for example an installed release.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::Context as _;
use serde_json::Value;

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// The path of a binary of the workspace, such as `refgate`.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    static PROGRAMS: OnceLock<Result<BTreeMap<String, PathBuf>, String>> = OnceLock::new();
    let programs = PROGRAMS
        .get_or_init(|| find().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    programs
        .get(name)
        .cloned()
        .with_context(|| format!("there is no program {name} among {:?}", programs.keys()))
}

fn find() -> anyhow::Result<BTreeMap<String, PathBuf>> {
    match std::env::var_os("REFGATE_TEST_BIN_DIR") {
        Some(directory) => given(Path::new(&directory)),
        None => build(),
    }
}

fn given(directory: &Path) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let directory = directory
        .canonicalize()
        .with_context(|| format!("REFGATE_TEST_BIN_DIR={}", directory.display()))?;
    let mut programs = BTreeMap::new();
    for entry in directory.read_dir()? {
        let path = entry?.path();
        if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
            programs.insert(name.to_owned(), path.clone());
        }
    }
    Ok(programs)
}

fn build() -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--workspace", "--bins", "--message-format=json-render-diagnostics"])
        .current_dir(workspace())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    // What cargo tells a test about its package. Build scripts of dependencies look at the same
    // names, and would be run anew, with all that depends on them, at every change of command.
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    let output = cargo.output().context("cannot run cargo")?;
    anyhow::ensure!(output.status.success(), "cargo build failed: {}", output.status);
    let mut programs = BTreeMap::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let message: Value = serde_json::from_str(line)?;
        if let (Some(name), Some(path)) =
            (message["target"]["name"].as_str(), message["executable"].as_str())
        {
            programs.insert(name.to_owned(), path.into());
        }
    }
    Ok(programs)
}

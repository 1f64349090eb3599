//! The direction of the dependencies: api → proxy → core, and what each layer may know.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use refgate_tests::process::run;
use refgate_tests::programs::workspace;

struct Layer {
    package: &'static str,
    /// It depends on these. Were the tree read wrongly, `never` would hold trivially.
    needs: &'static [&'static str],
    /// It must not reach these, through any number of others.
    never: &'static [&'static str],
}

const LAYERS: [Layer; 3] = [
    Layer {
        package: "refgate-core",
        needs: &["git2", "serde"],
        never: &[
            "refgate-proxy",
            "refgate",
            "tokio",
            "http",
            "hyper",
            "axum",
            "ureq",
            "pingora",
            "pingora-core",
            "clap",
        ],
    },
    Layer {
        package: "refgate-proxy",
        needs: &["refgate-core", "pingora-core"],
        never: &["refgate", "axum"],
    },
    Layer {
        package: "refgate",
        needs: &["refgate-core", "refgate-proxy", "axum"],
        never: &["refgate-tests"],
    },
];

#[test]
fn dependencies_point_one_way() -> anyhow::Result<()> {
    for Layer { package, needs, never } in &LAYERS {
        let reached = dependencies(package)?;
        for name in *needs {
            assert!(reached.contains(*name), "{package} should depend on {name}");
        }
        for name in *never {
            assert!(!reached.contains(*name), "{package} must not depend on {name}");
        }
    }
    Ok(())
}

/// Everything that building `package` needs, tests aside.
fn dependencies(package: &str) -> anyhow::Result<BTreeSet<String>> {
    let ended = run(Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "no-dev", "--prefix", "none", "--format", "{p}"])
        .args(["--package", package])
        .current_dir(workspace()))?;
    anyhow::ensure!(ended.status.success(), "cargo tree: {}", ended.stderr);
    Ok(ended
        .stdout
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| *name != package)
        .map(str::to_owned)
        .collect())
}

/// Every dependency of the workspace has a line that says why, and a crate that uses it.
#[test]
fn every_dependency_has_a_reason() -> anyhow::Result<()> {
    let read = |path: &str| fs::read_to_string(workspace().join(path));
    let manifest = read("Cargo.toml")?;
    let taken: BTreeSet<&str> = manifest
        .lines()
        .skip_while(|line| *line != "[workspace.dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = "))
        .filter(|(_, value)| !value.contains("path ="))
        .map(|(name, _)| name)
        .collect();
    assert!(taken.contains("git2"), "the manifest was not understood");

    let reasons = read("docs/adr/0002-dependencies.md")?;
    let explained: BTreeSet<&str> = reasons
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "))
        .flat_map(|(names, _)| names.split(", "))
        .filter(|name| *name != "crate")
        .collect();
    assert_eq!(taken, explained, "Cargo.toml (left) and docs/adr/0002-dependencies.md (right)");

    let members = ["core", "proxy", "api", "tests"]
        .map(|member| read(&format!("{member}/Cargo.toml")))
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?
        .concat();
    let used: BTreeSet<&str> = members
        .lines()
        .filter(|line| line.contains("workspace = true"))
        .filter_map(|line| line.split(['.', ' ']).next())
        .collect();
    let unused: Vec<_> = taken.difference(&used).collect();
    assert!(unused.is_empty(), "no crate uses {unused:?}");
    Ok(())
}

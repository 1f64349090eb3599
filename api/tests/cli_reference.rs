//! `docs/reference/cli.md` is made of the program's own help texts; this test keeps it true.
//!
//! After a change of the command line, `REFGATE_BLESS=1 cargo test -p refgate --test
//! cli_reference` writes it anew.

use std::fmt::Write;
use std::path::Path;

use clap::{Command, CommandFactory};
use refgate::command::Cli;

const HEAD: &str = "\
# Command line

<!-- Made of the help texts by `api/tests/cli_reference.rs`; do not edit by hand. -->

Client commands ask a control plane at `--server` (or `REFGATE_SERVER`) with the token of `--token`
(or `REFGATE_TOKEN`); without them, the one that `refgate login` keeps. They print a table on a
terminal, plain aligned text into a pipe, exactly what the API answered with `-o json` or `-o yaml`,
and names alone with `-o name`; everything that is not the answer goes to standard error. Colours are
for terminals, and not where `NO_COLOR` is set.

Every write takes `--dry-run`, which shows what would change and changes nothing. Before a group
labelled `env: production`, or called `production`, is changed, the plan is shown and a question
asked. `--yes` skips that. Where standard input or standard error is no terminal, as in a script,
nothing is asked and the change is made.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | refused or failed; with `--wait`, a gateway did not follow in time |
| 2 | the command line itself is wrong |
| 3 | conflict: somebody else's change, or a rule of versions and promotion, is in the way (HTTP 409 and 412) |
";

fn reference() -> anyhow::Result<String> {
    let mut text = String::from(HEAD);
    let mut root = Cli::command().term_width(100);
    root.build();
    describe(&mut root, "refgate", &mut text)?;
    Ok(text)
}

fn describe(command: &mut Command, path: &str, text: &mut String) -> anyhow::Result<()> {
    write!(text, "\n## `{path}`\n\n")?;
    if let Some(about) = command.get_long_about() {
        // The first paragraph is the summary, which the help text below begins with.
        if let Some((_, more)) = about.to_string().split_once("\n\n") {
            write!(text, "{more}\n\n")?;
        }
    }
    let help = command.render_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    write!(text, "```text\n{}\n```\n", lines.join("\n").trim_end())?;
    for child in command.get_subcommands_mut().filter(|child| child.get_name() != "help") {
        let path = format!("{path} {}", child.get_name());
        describe(child, &path, text)?;
    }
    Ok(())
}

#[test]
fn the_reference_is_current() -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/cli.md");
    let reference = reference()?;
    if std::env::var_os("REFGATE_BLESS").is_some() {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, &reference)?;
        return Ok(());
    }
    let written = std::fs::read_to_string(&path)?;
    let differs = written.lines().zip(reference.lines()).position(|(a, b)| a != b);
    assert!(
        written == reference,
        "{} is not current (line {:?}); write it anew with REFGATE_BLESS=1",
        path.display(),
        differs.map(|line| line + 1)
    );
    Ok(())
}

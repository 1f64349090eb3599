//! The documents: every page is in the book, every link leads somewhere, and what the pages
//! show was run.
//!
//! Getting started and the pages under How-to are run as they stand, by the rules of [`page`]
//! and [`session`]. What the other pages show is not run; what is made of the code (`docs/reference`,
//! `docs/diagnostics.md`) is held to it by tests of its own.

mod links;
mod page;
mod session;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use refgate_tests::programs::workspace;

use page::{Page, Step};
use session::Session;

const STORY: &str = "docs/getting-started.md";

/// Where the pages are that go on where the story ends.
const HOW_TO: &str = "docs/how-to";

/// The Markdown files below a folder of the workspace, by their paths in it.
fn pages(folder: &str) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(workspace().join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: impl AsRef<Path>) -> anyhow::Result<String> {
    let path = workspace().join(path);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

#[test]
fn every_page_is_in_the_book_once() -> anyhow::Result<()> {
    let listed: Vec<String> = links::of(&read("docs/SUMMARY.md")?)
        .into_iter()
        .map(|link| format!("docs/{}", link.target))
        .collect();
    let set: BTreeSet<&String> = listed.iter().collect();
    assert_eq!(set.len(), listed.len(), "docs/SUMMARY.md lists a page twice: {listed:?}");
    let there = pages("docs")?;
    let there: BTreeSet<&String> = there.iter().filter(|p| *p != "docs/SUMMARY.md").collect();
    assert_eq!(set, there, "docs/SUMMARY.md (left) and the pages that there are (right)");
    Ok(())
}

#[test]
fn every_link_leads_somewhere() -> anyhow::Result<()> {
    let mut files = pages("docs")?;
    files.extend(["README.md", "CHANGELOG.md", "repo-template/README.md"].map(str::to_owned));
    let mut wrong = Vec::new();
    for file in &files {
        for link in links::of(&read(file)?) {
            if let Err(why) = links::check(workspace(), file, &link) {
                wrong.push(format!("{file}:{}: {}: {why:#}", link.line, link.target));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn the_story_runs_as_it_stands() -> anyhow::Result<()> {
    Session::new()?.run(&Page::read(STORY)?)
}

/// Each in a session of its own, which has run the story.
#[test]
fn what_the_how_to_pages_show_runs() -> anyhow::Result<()> {
    let story = Page::read(STORY)?;
    let go = |path: &str| -> anyhow::Result<()> {
        let page = Page::read(path)?;
        let mut session = Session::new()?;
        session.run(&story)?;
        session.run(&page)
    };
    let mut wrong = Vec::new();
    for path in pages(HOW_TO)? {
        if let Err(why) = go(&path) {
            wrong.push(format!("{why:#}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
    Ok(())
}

/// The README shows the story in short: what it shows stands on a page that is run.
#[test]
fn what_the_readme_shows_is_run_elsewhere() -> anyhow::Result<()> {
    let mut run = BTreeSet::new();
    for path in pages(HOW_TO)?.iter().map(String::as_str).chain([STORY]) {
        run.extend(Page::read(path)?.steps.into_iter().filter_map(Step::words));
    }
    for step in Page::read("README.md")?.steps {
        let line = step.line();
        let Some(words) = step.words() else { continue };
        assert!(run.contains(&words), "README.md:{line}: no page that is run has `{words}`");
    }
    Ok(())
}

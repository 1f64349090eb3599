//! The links of a Markdown page, and whether they lead somewhere.
//!
//! Reads what our pages use of Markdown: headings with `#`, links and pictures in a line, fenced
//! blocks and code in a line, in which nothing is a link. Addresses on the network are not asked.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;

/// A link of a page.
#[derive(Debug, PartialEq)]
pub(super) struct Link {
    /// The number of its line, from 1.
    pub(super) line: usize,
    /// Where it leads, as it is written.
    pub(super) target: String,
}

/// The lines outside fenced blocks, with their numbers from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    })
}

/// All links and pictures of a page.
pub(super) fn of(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    for (line, content) in prose(text) {
        // Every second part is code.
        for part in content.split('`').step_by(2) {
            let targets = part.split("](").skip(1).filter_map(|after| after.split(')').next());
            links.extend(targets.map(|target| Link { line, target: target.to_owned() }));
        }
    }
    links
}

/// Whether the link of `file`, a path in the workspace, leads to something that is there. A page of
/// the book leads to files of the book alone: the others are not where it is read.
pub(super) fn check(workspace: &Path, file: &str, link: &Link) -> anyhow::Result<()> {
    let target = link.target.as_str();
    if target.starts_with("https://") || target.starts_with("http://") {
        return Ok(());
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(p, a)| (p, Some(a)));
    let path = match path.is_empty() {
        true => PathBuf::from(file),
        false => resolve(Path::new(file).parent().unwrap_or(Path::new("")), path)
            .context("it leaves the repository")?,
    };
    if file.starts_with("docs/") {
        anyhow::ensure!(path.starts_with("docs"), "it leaves the book");
        anyhow::ensure!(workspace.join(&path).is_file(), "there is no such file");
    }
    anyhow::ensure!(workspace.join(&path).exists(), "there is no such file");
    if let Some(anchor) = anchor {
        let text = fs::read_to_string(workspace.join(&path))?;
        let anchors = anchors(&text);
        anyhow::ensure!(anchors.contains(anchor), "{} has no such heading", path.display());
    }
    Ok(())
}

fn resolve(from: &Path, path: &str) -> Option<PathBuf> {
    let mut resolved = from.to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir => {
                if !resolved.pop() {
                    return None;
                }
            }
            other => resolved.push(other),
        }
    }
    Some(resolved)
}

/// The names by which links lead to the headings of a page: letters in lower case, blanks as `-`,
/// no punctuation; the second of a name has `-1` at its end.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(text) {
        let heading = line.trim_start_matches('#');
        let level = line.len() - heading.len();
        if !(1..=6).contains(&level) || !heading.starts_with(' ') {
            continue;
        }
        let name: String = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            })
            .collect();
        let again = (1..).map(|number| format!("{name}-{number}"));
        let free = [name.clone()].into_iter().chain(again).find(|name| !anchors.contains(name));
        anchors.extend(free);
    }
    anchors
}

#[test]
fn links_and_headings_are_found() {
    let text = "# A `b`, c!\n[x](y.md#z) `[no](no)` and ![p](p.png)\n\
                ```\n# no\n[no](no)\n```\n## Same\n## Same\n[`code`](code.md)\n";
    let targets: Vec<_> = of(text).into_iter().map(|link| (link.line, link.target)).collect();
    let expected = [(2, "y.md#z"), (2, "p.png"), (9, "code.md")];
    assert_eq!(targets, expected.map(|(line, target)| (line, target.to_owned())));
    let names: Vec<_> = anchors(text).into_iter().collect();
    assert_eq!(names, ["a-b-c", "same", "same-1"]);
}

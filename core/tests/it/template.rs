//! What a new repository starts with: it is sound, and what its README shows is true.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use refgate_core::checkout::Checkout;
use refgate_core::checkout::format::{Format, format};
use refgate_core::{json, template};
use serde_json::Value;

use crate::schema::Judge;

/// The blocks of the README by the paths that stand before them.
fn sample() -> BTreeMap<&'static str, &'static str> {
    let mut rest = readme();
    let mut files = BTreeMap::new();
    while let Some((before, after)) = rest.split_once("\n\n```json\n") {
        let (text, after) = after.split_once("```\n").expect("the block ends");
        let line = before.lines().last().unwrap_or_default();
        if let Some(path) = line.strip_prefix('`').and_then(|line| line.strip_suffix('`')) {
            files.insert(path, text);
        }
        rest = after;
    }
    files
}

fn readme() -> &'static str {
    let file = template::FILES.iter().find(|(path, _)| *path == "README.md");
    file.expect("there is a README").1
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
    fs::write(path, text).expect("the file is written");
}

#[test]
fn every_file_of_the_template_is_in_the_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../repo-template");
    let mut there = Vec::new();
    for folder in ["", "schema"] {
        for entry in fs::read_dir(root.join(folder)).expect("the folder") {
            let entry = entry.expect("an entry");
            let path = Path::new(folder).join(entry.file_name());
            if entry.path().is_file() {
                there.push(path.to_str().expect("a name").to_owned());
            }
        }
    }
    there.sort();
    let known: Vec<_> = template::FILES.iter().map(|(path, _)| *path).collect();
    assert_eq!(there, known);
}

#[test]
fn every_group_is_sound_with_the_sample_and_without_it() {
    let sample = sample();
    assert_eq!(
        sample.keys().copied().collect::<Vec<_>>(),
        [
            "runtime/httpbin.json",
            "services/httpbin/routes/get-headers.json",
            "services/httpbin/service.json"
        ]
    );
    for (name, group) in template::groups() {
        let root = tempfile::tempdir().expect("a directory");
        for (path, text) in template::FILES {
            write(root.path(), path, text);
        }
        write(root.path(), "group.json", &json::to_text(&group));
        let findings = || {
            let checkout = Checkout::read(root.path()).expect("read");
            checkout.validate(Some(&name)).expect("judged")
        };
        assert_eq!(findings(), [], "{name}");
        for (path, text) in &sample {
            write(root.path(), path, text);
        }
        assert_eq!(findings(), [], "{name} with the sample");
    }
}

#[test]
fn the_sample_is_canonical_and_holds_to_the_schemas() {
    let judge = Judge::new();
    for (path, text) in sample() {
        assert_eq!(format(path, text.as_bytes()), Some(Format::Canonical), "{path}");
        let document: Value = serde_json::from_str(text).expect(path);
        let schema = match path.split('/').collect::<Vec<_>>()[..] {
            ["runtime", _] => "runtime.json",
            [_, _, "service.json"] => "service.json",
            _ => "route.json",
        };
        assert_eq!(judge.refusal(schema, &document), None, "{path}");
    }
}

/// The list for editors names every schema, and each for the files that it is of.
#[test]
fn editors_are_told_of_every_schema() {
    let (_, block) = readme().split_once("\n\n```json\n{\n  \"json.schemas\"").expect("the list");
    let (block, _) = block.split_once("```\n").expect("the block ends");
    let list: Value =
        serde_json::from_str(&format!("{{\"json.schemas\"{block}")).expect("it is JSON");
    let list = list["json.schemas"].as_array().expect("a list");
    let schemas = template::FILES.iter().filter(|(path, _)| path.starts_with("schema/"));
    assert_eq!(list.len(), schemas.count());
    for entry in list {
        let url = entry["url"].as_str().and_then(|url| url.strip_prefix("./")).expect("a path");
        assert!(template::FILES.iter().any(|(path, _)| *path == url), "{url}");
        // A file of that place has a canonical form: it is a place of documents.
        let pattern = entry["fileMatch"][0].as_str().expect("a pattern");
        let path = pattern.trim_start_matches('/').replace('*', "name");
        assert!(format(&path, b"{}").is_some(), "{path}");
    }
}

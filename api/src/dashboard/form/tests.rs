//! Forms read and shown.

use serde_json::json;

use super::*;

fn posted(pairs: &[(&str, &str)]) -> Posted {
    Posted::new(pairs.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect())
}

#[test]
fn a_form_is_written_at_its_pointers() {
    let field = |pointer: &str, kind| Field::new(pointer, "", kind);
    let sections = [Section::new(
        "",
        vec![
            field("/description", Kind::Text),
            field("/priority", Kind::Number),
            field("/timeout/read", Kind::Number),
            field("/timeout/send", Kind::Number),
            field("/enabled", Kind::Switch),
            field("/paths", Kind::Lines),
            field("/methods", Kind::Checks(vec!["GET".into()])),
            field("/labels", Kind::Pairs),
            field("/nodes", Kind::Rows(Rows::Nodes)),
        ],
    )];
    let posted = posted(&[
        ("/description", " a "),
        ("/priority", "x"),
        ("/timeout/read", "1.5"),
        ("/timeout/send", ""),
        ("/enabled", "true"),
        ("/paths", "/a\r\n\r\n /b \r\n"),
        ("/methods", "GET"),
        ("/methods", "PUT"),
        ("/labels", "env = uat\nx="),
        ("/nodes/0/host", ""),
        ("/nodes/0/weight", "100"),
        ("/nodes/2/host", "h"),
        ("/nodes/2/port", "80"),
    ]);
    let mut document = json!({"kept": 1, "timeout": {"send": 3}});
    assert!(read(&sections, &posted, &mut document).of_fields.is_empty());
    let expected = json!({
        "kept": 1, "timeout": {"read": 1.5}, "description": "a", "priority": "x",
        "enabled": true, "paths": ["/a", "/b"], "methods": ["GET", "PUT"],
        "labels": {"env": "uat", "x": ""}, "nodes": [{"host": "h", "port": 80}],
    });
    assert_eq!(document, expected);
}

#[test]
fn faults_stand_beside_their_fields() {
    let mut sections = [Section::new(
        "",
        vec![
            Field::new("/paths", "", Kind::Lines),
            Field::new("/nodes", "", Kind::Rows(Rows::Nodes)),
        ],
    )];
    let fault = |pointer: &str| (pointer.to_owned(), "wrong".to_owned());
    let faults = Faults {
        of_fields: vec![fault("/paths/1"), fault("/nodes/0/port"), fault("/pathsx")],
        of_form: Vec::new(),
    };
    let document = json!({"nodes": [{"host": "h", "port": "x"}]});
    let left = show(&mut sections, &document, &faults);
    assert_eq!(left.to_string().matches("/pathsx: wrong").count(), 1, "{left:?}");
    assert_eq!(sections[0].fields[0].errors, ["wrong"]);
    assert_eq!(sections[0].fields[1].rows[0].errors, [("port", "wrong".to_owned())]);
    assert_eq!(sections[0].fields[1].rows[0].cells[1], "x");
    assert_eq!(sections[0].fields[1].rows.len(), 2, "one is free");
}

#[test]
fn patches_and_rebases() {
    let base = json!({"a": 1, "m": {"x": 1, "y": 2}, "gone": 1});
    let typed = json!({"a": 2, "m": {"x": 1, "y": 3}, "gone": 1});
    let newer = json!({"a": 9, "m": {"x": 5, "y": 2}, "new": true});
    assert_eq!(patch(&base, &typed), json!({"a": 2, "m": {"y": 3}}));
    assert_eq!(
        patch(&typed, &newer),
        json!({"gone": null, "a": 9, "m": {"x": 5, "y": 2}, "new": true})
    );
    let merged = rebase(&base, &typed, &newer);
    assert_eq!(merged, json!({"a": 2, "m": {"x": 5, "y": 3}, "new": true}));
    assert_eq!(rebase(&base, &base, &newer), newer);
}

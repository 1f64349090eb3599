//! Lists of small objects as rows of fields: nodes of an upstream, predicates of a route.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Posted;
use super::value::{number, raw};

/// What the rows of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dashboard) enum Rows {
    /// Nodes of an upstream.
    Nodes,
    /// Conditions on a header, query parameter or cookie.
    Predicates,
}

/// A column of them.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) key: &'static str,
    pub(super) label: &'static str,
    pub(super) example: &'static str,
    /// What stands in a row that nobody has filled in.
    initial: &'static str,
    pub(super) is_number: bool,
    /// What can be chosen, if it is chosen.
    pub(super) options: &'static [(&'static str, &'static str)],
}

/// A row as it stands in a form.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// A text for each column.
    pub(super) cells: Vec<String>,
    /// What is wrong, by the key of the column that it is told in.
    pub(super) errors: Vec<(&'static str, String)>,
}

impl Row {
    fn new(cells: Vec<String>) -> Self {
        Self { cells, errors: Vec::new() }
    }

    /// Whether something is wrong in this column.
    pub(super) fn is_wrong(&self, column: &str) -> bool {
        self.errors.iter().any(|(key, _)| *key == column)
    }
}

const fn column(key: &'static str, label: &'static str, example: &'static str) -> Column {
    Column { key, label, example, initial: "", is_number: false, options: &[] }
}

const NODE: [Column; 4] = [
    column("host", "Host", "httpbin.org"),
    Column { is_number: true, ..column("port", "Port", "80") },
    Column { is_number: true, initial: "100", ..column("weight", "Weight", "100") },
    Column { is_number: true, ..column("priority", "Priority", "0") },
];

const PREDICATE: [Column; 3] = [
    column("name", "Name", "x-canary"),
    Column {
        initial: "value",
        options: &[
            ("value", "is"),
            ("regex", "matches the regex"),
            ("present", "is there"),
            ("absent", "is not there"),
        ],
        ..column("is", "Condition", "")
    },
    column("value", "Value", "1"),
];

impl Rows {
    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            Self::Nodes => &NODE,
            Self::Predicates => &PREDICATE,
        }
    }

    /// One of them, for people.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Nodes => "node",
            Self::Predicates => "condition",
        }
    }

    /// The rows in which something stands, as the list that they are.
    pub(super) fn read(self, posted: &Posted, pointer: &str) -> Value {
        let mut rows: BTreeMap<usize, BTreeMap<&str, &str>> = BTreeMap::new();
        let prefix = format!("{pointer}/");
        for (rest, text) in posted.beginning(&prefix) {
            let Some((index, key)) = rest.split_once('/') else { continue };
            if let Ok(index) = index.parse::<usize>() {
                rows.entry(index).or_default().insert(key, text.trim());
            }
        }
        rows.into_values().filter_map(|cells| self.write(&cells)).collect()
    }

    /// What a row says; nothing when nothing stands in it but what stands in every row.
    fn write(self, cells: &BTreeMap<&str, &str>) -> Option<Value> {
        let text = |key: &str| cells.get(key).copied().filter(|text| !text.is_empty());
        let mut object = Map::new();
        match self {
            Self::Nodes => {
                text("host").or(text("port"))?;
                for column in &NODE {
                    let Some(text) = text(column.key) else { continue };
                    let value = if column.is_number { number(text) } else { text.into() };
                    object.insert(column.key.to_owned(), value);
                }
            }
            Self::Predicates => {
                text("name").or(text("value"))?;
                let name = cells.get("name").copied().unwrap_or_default();
                object.insert("name".to_owned(), name.into());
                let value = cells.get("value").copied().unwrap_or_default();
                let (key, value) = match text("is") {
                    Some("regex") => ("regex", value.into()),
                    Some("present") => ("present", true.into()),
                    Some("absent") => ("present", false.into()),
                    _ => ("value", Value::from(value)),
                };
                object.insert(key.to_owned(), value);
            }
        }
        Some(Value::Object(object))
    }

    /// The list as rows, and one that is free.
    pub(super) fn show(self, value: &Value) -> Vec<Row> {
        let items = value.as_array().into_iter().flatten();
        let mut rows: Vec<Row> = items.map(|item| Row::new(self.cells(item))).collect();
        let free = self.columns().iter().map(|column| column.initial.to_owned());
        rows.push(Row::new(free.collect()));
        rows
    }

    fn cells(self, item: &Value) -> Vec<String> {
        let of = |key: &str| item.get(key).map(raw).unwrap_or_default();
        match self {
            Self::Nodes => NODE.iter().map(|column| of(column.key)).collect(),
            Self::Predicates => {
                let (is, value) = match item.get("present") {
                    Some(present) if *present == Value::Bool(false) => ("absent", String::new()),
                    Some(_) => ("present", String::new()),
                    None if item.get("regex").is_some() => ("regex", of("regex")),
                    None => ("value", of("value")),
                };
                vec![of("name"), is.to_owned(), value]
            }
        }
    }

    /// The key of the column that a fault at this key of a row is told in.
    pub(super) fn column_of(self, key: &str) -> &'static str {
        let columns = self.columns();
        match (self, columns.iter().find(|column| column.key == key)) {
            (_, Some(column)) => column.key,
            (Self::Predicates, None) if ["regex", "present"].contains(&key) => "value",
            (_, None) => columns.first().map_or("", |column| column.key),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn predicates_are_written_and_shown() {
        let table = [
            (["x", "value", "1"], Some(json!({"name": "x", "value": "1"}))),
            (["x", "value", ""], Some(json!({"name": "x", "value": ""}))),
            (["x", "regex", "a+"], Some(json!({"name": "x", "regex": "a+"}))),
            (["x", "present", "gone"], Some(json!({"name": "x", "present": true}))),
            (["x", "absent", ""], Some(json!({"name": "x", "present": false}))),
            (["", "value", "1"], Some(json!({"name": "", "value": "1"}))),
            (["", "regex", ""], None),
        ];
        for (cells, expected) in table {
            let posted = ["name", "is", "value"].map(|key| format!("/match/headers/3/{key}"));
            let posted = posted.into_iter().zip(cells.map(str::to_owned)).collect();
            let list = Rows::Predicates.read(&Posted::new(posted), "/match/headers");
            assert_eq!(list, expected.map_or_else(|| json!([]), |one| json!([one])), "{cells:?}");
            let shown = Rows::Predicates.show(&list);
            assert_eq!(shown.last().map(|row| row.cells.join("|")).as_deref(), Some("|value|"));
            if let [row, _] = &shown[..] {
                let typed = match cells[1] {
                    "present" => ["x", "present", ""],
                    _ => cells,
                };
                assert_eq!(row.cells, typed);
            }
        }
    }

    #[test]
    fn faults_are_told_in_their_columns() {
        assert_eq!(Rows::Nodes.column_of("port"), "port");
        assert_eq!(Rows::Nodes.column_of(""), "host");
        assert_eq!(Rows::Predicates.column_of("regex"), "value");
        assert_eq!(Rows::Predicates.column_of("name"), "name");
    }
}

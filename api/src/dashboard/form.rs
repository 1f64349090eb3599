//! Forms as views of documents: a field is named by the pointer of what it edits, so that reading a
//! form is writing at pointers, and a finding stands beside the field whose pointer it names.

mod rows;
mod value;

use askama::Template;
use askama::filters::HtmlSafe;
use refgate_core::json;
use serde_json::{Map, Value};

use rows::Row;
pub(super) use rows::Rows;
use value::{entries, lines, number, numbers, pairs, raw};
pub(super) use value::{patch, rebase, set};

/// What a form sent. Names may stand several times.
#[derive(Debug, Clone, Default)]
pub(super) struct Posted(Vec<(String, String)>);

impl Posted {
    pub(super) fn new(pairs: Vec<(String, String)>) -> Self {
        // Browsers send lines as in mail.
        Self(pairs.into_iter().map(|(name, text)| (name, text.replace("\r\n", "\n"))).collect())
    }

    /// The text of a field; empty when it is not there.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The text of a field, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// The text of a field, if anything stands in it.
    pub(super) fn given(&self, name: &str) -> Option<String> {
        self.get(name).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Every text of a name.
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// Every field with its text.
    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The fields whose names begin so, with the rest of their names.
    pub(super) fn beginning<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let rest =
            move |(name, text): &'a (String, String)| Some((name.strip_prefix(prefix)?, &**text));
        self.0.iter().filter_map(rest)
    }
}

/// How a value is edited.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// One line.
    Text,
    /// One line; nothing where it is empty.
    Optional,
    /// The name of something.
    Name,
    /// Several lines of text.
    Area,
    /// A number; nothing where it is empty.
    Number,
    /// On or off.
    Switch,
    /// A list, an entry a line.
    Lines,
    /// An object of texts, `key=value` a line.
    Pairs,
    /// Any JSON.
    Json,
    /// One of several, each with what it is called.
    Select(Vec<(String, String)>),
    /// Any of several.
    Checks(Vec<String>),
    /// Numbers with commas between them; nothing where it is empty.
    Numbers,
    /// A list of small objects, one a row.
    Rows(Rows),
}

/// A field of a form.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// The pointer of the value in the document; a name without `/` for what is beside it.
    pub(super) pointer: String,
    pub(super) label: String,
    pub(super) help: String,
    pub(super) kind: Kind,
    /// What it means when nothing stands in it.
    example: String,
    /// What stands in it.
    text: String,
    on: bool,
    chosen: Vec<String>,
    rows: Vec<Row>,
    errors: Vec<String>,
    /// Whether what follows in its section is shown only while it is on.
    leads: bool,
}

/// Fields that belong together.
#[derive(Debug, Clone)]
pub(super) struct Section {
    pub(super) title: String,
    pub(super) help: String,
    pub(super) fields: Vec<Field>,
    /// Folded unless somebody opens it.
    pub(super) folded: bool,
}

/// What is wrong, by the name of a field and beside all of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    pub(super) of_fields: Vec<(String, String)>,
    pub(super) of_form: Vec<String>,
}

/// What is wrong with a form, told at its head, each with the way to its field.
#[derive(Debug, Default, Template)]
#[template(path = "parts/faults.html")]
pub(super) struct Summary {
    /// What that means, as the first sentence.
    pub(super) lead: &'static str,
    lines: Vec<Told>,
}

impl HtmlSafe for Summary {}

/// A line of a summary.
#[derive(Debug)]
struct Told {
    /// The field, by its id and by what it is called; nothing of what is wrong with all of it.
    field: Option<(String, String)>,
    text: String,
}

impl Summary {
    /// Of what stands beside no field.
    pub(super) fn of(lines: impl IntoIterator<Item = String>) -> Self {
        let told = |text| Told { field: None, text };
        Self { lead: "", lines: lines.into_iter().map(told).collect() }
    }

    /// The same, with what it means.
    pub(super) fn led(mut self, lead: &'static str) -> Self {
        self.lead = lead;
        self
    }

    /// Adds what is wrong with a field that was drawn elsewhere.
    pub(super) fn also(&mut self, id: &str, label: &str, text: &str) {
        let field = Some((id.to_owned(), label.to_owned()));
        self.lines.push(Told { field, text: text.to_owned() });
    }

    /// Whether nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl Faults {
    /// Whether nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.of_fields.is_empty() && self.of_form.is_empty()
    }

    /// Tells of a field.
    pub(super) fn beside(&mut self, field: &str, message: impl Into<String>) {
        self.of_fields.push((field.to_owned(), message.into()));
    }

    /// Takes over what another found.
    pub(super) fn join(&mut self, other: Self) {
        self.of_fields.extend(other.of_fields);
        self.of_form.extend(other.of_form);
    }
}

/// The sections of a form, drawn.
#[derive(Template)]
#[template(path = "parts/sections.html")]
pub(super) struct Sections(pub(super) Vec<Section>);

impl HtmlSafe for Sections {}

impl Section {
    pub(super) fn new(title: &str, fields: Vec<Field>) -> Self {
        let (title, help) = (title.to_owned(), String::new());
        Self { title, help, fields, folded: false }
    }

    pub(super) fn folded(mut self) -> Self {
        self.folded = true;
        self
    }

    pub(super) fn help(mut self, help: &str) -> Self {
        help.clone_into(&mut self.help);
        self
    }

    /// Whether something in it is wrong: it is shown open then.
    fn is_open(&self) -> bool {
        !self.folded || self.fields.iter().any(Field::has_errors)
    }
}

impl Field {
    pub(super) fn new(pointer: impl Into<String>, label: &str, kind: Kind) -> Self {
        Self {
            pointer: pointer.into(),
            label: label.to_owned(),
            help: String::new(),
            kind,
            example: String::new(),
            text: String::new(),
            on: false,
            chosen: Vec::new(),
            rows: Vec::new(),
            errors: Vec::new(),
            leads: false,
        }
    }

    /// A switch beside the document by which the rest of its section is there or not: as it was
    /// posted, or else as the document has it.
    pub(super) fn lead(name: &str, label: &str, posted: &Posted, is_there: bool) -> Self {
        let on = match posted.text("view") {
            "form" => posted.text(name) == "true",
            _ => is_there,
        };
        let field = Self::new(name, label, Kind::Switch).holding(if on { "true" } else { "" });
        Self { leads: true, ..field }
    }

    pub(super) fn help(mut self, help: &str) -> Self {
        help.clone_into(&mut self.help);
        self
    }

    /// Shows in an empty field what it means then.
    pub(super) fn default_from(&mut self, defaults: &Value) {
        let Some(value) = defaults.pointer(&self.pointer) else { return };
        match self.kind {
            Kind::Number | Kind::Optional => self.example = raw(value),
            Kind::Numbers => self.example = entries(value).join(", "),
            _ => {}
        }
    }

    /// Of a field beside the document: what stands in it.
    pub(super) fn holding(mut self, text: &str) -> Self {
        text.clone_into(&mut self.text);
        self.on = text == "true";
        self
    }

    fn id(&self) -> String {
        format!("f{}", self.pointer.replace('/', "-"))
    }

    fn has_errors(&self) -> bool {
        !self.errors.is_empty() || self.rows.iter().any(|row| !row.errors.is_empty())
    }

    /// Whether it is drawn as several fields.
    fn is_fieldset(&self) -> bool {
        matches!(self.kind, Kind::Checks(_) | Kind::Rows(_))
    }

    fn has_help(&self) -> bool {
        !self.help.is_empty()
    }

    fn chosen(&self, option: &str) -> bool {
        self.chosen.iter().any(|chosen| chosen == option)
    }

    /// What describes it to who cannot see it.
    fn described_by(&self) -> String {
        let id = self.id();
        match (self.has_help(), !self.errors.is_empty()) {
            (true, true) => format!("{id}-help {id}-error"),
            (true, false) => format!("{id}-help"),
            (false, true) => format!("{id}-error"),
            (false, false) => String::new(),
        }
    }

    /// Writes what the form says of it into the document.
    fn read(&self, posted: &Posted, document: &mut Value, faults: &mut Faults) {
        let text = posted.text(&self.pointer);
        let trimmed = text.trim();
        let value = match &self.kind {
            Kind::Text | Kind::Name => Some(trimmed.into()),
            Kind::Optional => Some(trimmed.into()).filter(|_| !trimmed.is_empty()),
            Kind::Area => Some(text.into()).filter(|_| !trimmed.is_empty()),
            Kind::Number if trimmed.is_empty() => None,
            // What is no number is told by the one who reads documents.
            Kind::Number => Some(number(trimmed)),
            Kind::Switch => Some(posted.all(&self.pointer).any(|text| text == "true").into()),
            Kind::Lines => Some(lines(text).map(Value::from).collect()),
            Kind::Numbers if trimmed.is_empty() => None,
            Kind::Numbers => Some(numbers(trimmed)),
            Kind::Pairs => match pairs(text) {
                Ok(pairs) => Some(pairs),
                Err(line) => {
                    let message = format!("Write key=value: {line:?} has no =.");
                    faults.beside(&self.pointer, message);
                    return;
                }
            },
            Kind::Json if trimmed.is_empty() => None,
            Kind::Json => match json::parse(text.as_bytes()) {
                Ok(parsed) => Some(parsed.value),
                Err(error) => {
                    faults.of_fields.push((self.pointer.clone(), format!("This is {error}.")));
                    return;
                }
            },
            Kind::Select(_) if trimmed.is_empty() => None,
            Kind::Select(_) => Some(trimmed.into()),
            Kind::Checks(_) => {
                let given: Vec<&str> =
                    posted.all(&self.pointer).filter(|text| !text.is_empty()).collect();
                Some(given.into_iter().map(Value::from).collect())
            }
            Kind::Rows(rows) => Some(rows.read(posted, &self.pointer)),
        };
        set(document, &self.pointer, value);
    }

    /// Takes over what the document says of it.
    fn show(&mut self, document: &Value) {
        let value = document.pointer(&self.pointer).unwrap_or(&Value::Null);
        match &self.kind {
            Kind::Text | Kind::Optional | Kind::Name | Kind::Area | Kind::Number => {
                self.text = raw(value);
            }
            Kind::Switch => self.on = value == &Value::Bool(true),
            Kind::Lines => self.text = entries(value).join("\n"),
            Kind::Numbers => self.text = entries(value).join(", "),
            Kind::Pairs => {
                let pair = |(key, value): (&String, &Value)| format!("{key}={}", raw(value));
                let pairs = value.as_object().into_iter().flatten().map(pair);
                self.text = pairs.collect::<Vec<_>>().join("\n");
            }
            Kind::Json => {
                let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                self.text = if empty { String::new() } else { format!("{value:#}") };
            }
            Kind::Select(options) => {
                let chosen = raw(value);
                // What cannot be chosen stands there all the same, or saving would change it.
                if !options.iter().any(|(known, _)| *known == chosen) {
                    let mut options = options.clone();
                    options.push((chosen.clone(), chosen.clone()));
                    self.kind = Kind::Select(options);
                }
                self.chosen = vec![chosen];
            }
            Kind::Checks(_) => self.chosen = entries(value),
            Kind::Rows(rows) => self.rows = rows.show(value),
        }
    }

    /// Takes a fault that is its own.
    fn take(&mut self, pointer: &str, message: &str) {
        let rest = pointer.strip_prefix(&self.pointer).unwrap_or_default();
        let mut parts = rest.split('/').skip(1);
        let row = parts.next().and_then(|index| index.parse::<usize>().ok());
        if let (Kind::Rows(rows), Some(row)) = (&self.kind, row)
            && let Some(row) = self.rows.get_mut(row)
        {
            let column = rows.column_of(parts.next().unwrap_or_default());
            row.errors.push((column, message.to_owned()));
        } else {
            self.errors.push(message.to_owned());
        }
    }
}

/// Rows of a list that a form has; longer lists are edited as JSON.
const ROWS: usize = 100;

/// Makes one field of JSON of every list that is too long for rows.
pub(super) fn fold(sections: &mut [Section], document: &Value) {
    for field in sections.iter_mut().flat_map(|section| &mut section.fields) {
        let list = document.pointer(&field.pointer).and_then(Value::as_array);
        if matches!(field.kind, Kind::Rows(_)) && list.is_some_and(|list| list.len() > ROWS) {
            field.kind = Kind::Json;
            field.help = format!("More than {ROWS}: they are edited as JSON. {}", field.help);
        }
    }
}

/// Writes what a form says into a document; gives what could not be read.
pub(super) fn read(sections: &[Section], posted: &Posted, document: &mut Value) -> Faults {
    let mut faults = Faults::default();
    for field in sections.iter().flat_map(|section| &section.fields) {
        if field.pointer.starts_with('/') {
            field.read(posted, document, &mut faults);
        }
    }
    faults
}

/// Fills a form from a document and puts each fault beside its field; gives all of them in the order
/// of the fields, and before them what has no field.
pub(super) fn show(sections: &mut [Section], document: &Value, faults: &Faults) -> Summary {
    let mut fields: Vec<&mut Field> =
        sections.iter_mut().flat_map(|section| &mut section.fields).collect();
    for field in &mut fields {
        if field.pointer.starts_with('/') {
            field.show(document);
        }
    }
    let mut summary = Summary::of(faults.of_form.iter().cloned());
    let mut beside: Vec<(usize, Told)> = Vec::new();
    for (pointer, message) in &faults.of_fields {
        let below = |field: &str| {
            pointer.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let owner = fields.iter_mut().enumerate().filter(|(_, field)| below(&field.pointer));
        match owner.max_by_key(|(_, field)| field.pointer.len()) {
            Some((index, owner)) => {
                owner.take(pointer, message);
                let field = Some((owner.id(), owner.label.clone()));
                beside.push((index, Told { field, text: message.clone() }));
            }
            None => {
                let place = if pointer.is_empty() { "" } else { ": " };
                let text = format!("{pointer}{place}{message}");
                summary.lines.push(Told { field: None, text });
            }
        }
    }
    beside.sort_by_key(|(index, _)| *index);
    summary.lines.extend(beside.into_iter().map(|(_, told)| told));
    summary
}

/// Shows of fields that could not be read what was typed.
pub(super) fn keep_typed(sections: &mut [Section], posted: &Posted, faults: &Faults) {
    for field in sections.iter_mut().flat_map(|section| &mut section.fields) {
        let unread = faults.of_fields.iter().any(|(pointer, _)| *pointer == field.pointer);
        if unread && matches!(field.kind, Kind::Json | Kind::Pairs) {
            posted.text(&field.pointer).clone_into(&mut field.text);
        }
    }
}

/// Lines of a text area: as many as stand in it and one more, but some.
pub(super) fn rows(text: &str, least: usize) -> usize {
    (text.lines().count() + 1).clamp(least, 40)
}

#[cfg(test)]
mod tests;

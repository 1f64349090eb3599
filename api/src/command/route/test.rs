//! `refgate route test`: which route of a group takes a request, and why the others do not.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::client::WriteOptions;
use crate::client::endpoint::Endpoint;
use crate::client::view::{self, RouteTest};
use crate::command::args::GroupArg;
use crate::command::failure::Failure;
use crate::command::session::Session;
use crate::output::table::{Column, Table};
use crate::output::write::Ending;
use crate::output::{Format, Output};

/// Flags of `route test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    #[command(flatten)]
    group: GroupArg,
    /// Method, such as GET
    method: String,
    /// URL; a path alone is a request without a host
    url: String,
    /// Header that the request has; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<HeaderArg>,
    /// Address of the client; without it 127.0.0.1
    #[arg(long, value_name = "IP")]
    client: Option<IpAddr>,
}

/// A header as curl takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HeaderArg {
    name: String,
    value: String,
}

impl FromStr for HeaderArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once(':')
            .filter(|(name, _)| !name.trim().is_empty())
            .ok_or("a header is written as 'name: value'")?;
        Ok(Self { name: name.trim().to_ascii_lowercase(), value: value.trim().to_owned() })
    }
}

impl TestArgs {
    fn question(&self) -> Value {
        let mut headers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for header in &self.headers {
            headers.entry(&header.name).or_default().push(&header.value);
        }
        let mut question = Map::new();
        question.insert("method".to_owned(), json!(self.method.to_ascii_uppercase()));
        question.insert("url".to_owned(), json!(self.url));
        if !headers.is_empty() {
            question.insert("headers".to_owned(), json!(headers));
        }
        question.extend(self.client.map(|client| ("client".to_owned(), json!(client))));
        Value::Object(question)
    }

    /// Fails when no route takes the request, so that scripts can ask.
    pub(super) fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let endpoint = Endpoint::of_group(&self.group.group, "match");
        let answer = session.client.post(&endpoint, &self.question(), &WriteOptions::default())?;
        let test: RouteTest = view::read(&answer.body)?;
        let out = &mut session.output;
        match out.format() {
            Format::Json | Format::Yaml => out.document(&answer.body)?,
            Format::Name => {
                if let Some(matched) = &test.matched {
                    out.line(format!("{}/{}", matched.service, matched.route))?;
                }
            }
            Format::Table => show(out, &test)?,
        }
        Ok(if test.matched.is_some() { Ending::Done } else { Ending::Failed })
    }
}

fn show(out: &mut Output, test: &RouteTest) -> std::io::Result<()> {
    match &test.matched {
        Some(matched) => {
            let mut fields = Table::fields();
            let params = matched.params.iter().map(|(name, value)| format!("{name}={value}"));
            fields
                .field("route", format!("{}/{}", matched.service, matched.route))
                .field("host", matched.host.as_deref().unwrap_or("any"))
                .field("path", &matched.path)
                .field("params", params.collect::<Vec<_>>().join(", "))
                .field("upstream", &matched.upstream)
                .field("forwarded path", &matched.forwarded_path);
            out.table(&fields)?;
        }
        None => out.line(match test.status {
            405 => format!("no route takes this method (405): {}", test.allow.join(", ")),
            400 => format!("the gateway refuses the request (400): {}", test.message),
            status => format!("no route takes the request ({status})"),
        })?,
    }
    if test.candidates.is_empty() {
        return Ok(());
    }
    out.line("")?;
    let mut table = Table::new([
        Column::whole("ROUTE"),
        Column::whole("HOST"),
        Column::whole("PATH"),
        Column::words("VERDICT"),
        Column::words("REASON"),
    ]);
    for one in &test.candidates {
        table.row([
            format!("{}/{}", one.service, one.route),
            one.host.clone().unwrap_or_else(|| "any".to_owned()),
            one.path.clone(),
            one.verdict.replace('_', " "),
            one.reason.clone(),
        ]);
    }
    out.table(&table)?;
    if test.omitted > 0 {
        out.note(format!("{} more candidates come less near", test.omitted))?;
    }
    Ok(())
}

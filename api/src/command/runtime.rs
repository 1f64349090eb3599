//! `refgate runtime`: what a group owns about a service.

use std::io;

use clap::{Args, Subcommand};
use refgate_core::name::{ServiceName, UpstreamName};
use serde_json::{Map, Value, json};

use super::Run;
use super::args::{GroupArg, PatchArgs, WriteArgs};
use super::failure::Failure;
use super::input::{self, Source};
use super::node::NodeSpec;
use super::session::Session;
use crate::client::endpoint::Endpoint;
use crate::client::view::{self, LastChange, Runtime};
use crate::output::table::{Column, Table};
use crate::output::write::Ending;
use crate::output::{Format, Output, text};

/// Verbs of the runtime.
#[derive(Debug, Subcommand)]
pub enum RuntimeCommand {
    /// Show hosts, path prefix and upstreams
    Get(Place),
    /// Set hosts, nodes and other settings; what is not named stays
    Set(SetArgs),
    /// Replace the runtime as a whole
    Put {
        /// Which one.
        #[command(flatten)]
        place: Place,
        /// The runtime as JSON or YAML; `-` reads standard input
        #[arg(short = 'f', long, value_name = "FILE")]
        file: Source,
        /// How to write.
        #[command(flatten)]
        write: WriteArgs,
    },
    /// Apply a merge patch
    Patch {
        /// Which one.
        #[command(flatten)]
        place: Place,
        /// What to change.
        #[command(flatten)]
        patch: PatchArgs,
        /// How to write.
        #[command(flatten)]
        write: WriteArgs,
    },
}

/// Whose runtime.
#[derive(Debug, Args)]
pub struct Place {
    #[command(flatten)]
    group: GroupArg,
    /// Name of the service
    #[arg(value_name = "SERVICE")]
    service: ServiceName,
}

impl Place {
    fn endpoint(&self) -> Endpoint {
        Endpoint::of_service(&self.group.group, &self.service, "runtime")
    }

    fn subject(&self) -> String {
        format!("runtime of {}", self.service)
    }
}

/// Where requests come from and go to, as flags.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// Host that the service answers to, exact or *.example.com; may be repeated
    #[arg(long = "host", value_name = "HOST", help_heading = "Hosts and nodes")]
    hosts: Vec<String>,
    /// Node of the upstream; may be repeated. Together they replace the nodes that it has
    #[arg(long = "node", value_name = "HOST:PORT[@WEIGHT]", help_heading = "Hosts and nodes")]
    nodes: Vec<NodeSpec>,
    /// Upstream that the nodes belong to
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Hosts and nodes",
        long_help = "Upstream that the nodes belong to; without it, the upstream called default"
    )]
    pub(crate) upstream: Option<UpstreamName>,
    /// Protocol to the nodes
    #[arg(
        long,
        value_name = "SCHEME",
        value_parser = ["http", "https", "h2c", "grpc", "grpcs"],
        help_heading = "Hosts and nodes"
    )]
    scheme: Option<String>,
    /// Host header that the nodes get: the client's, the node's, or the one of --upstream-host
    #[arg(
        long,
        value_name = "WHICH",
        value_parser = ["pass", "node", "rewrite"],
        help_heading = "Hosts and nodes"
    )]
    pass_host: Option<String>,
    /// Host header for --pass-host rewrite
    #[arg(long, value_name = "HOST", help_heading = "Hosts and nodes")]
    upstream_host: Option<String>,
    /// Path in front of every path of the service
    #[arg(long, value_name = "PATH", help_heading = "Hosts and nodes")]
    path_prefix: Option<String>,
}

impl TargetArgs {
    /// The runtime that the flags describe; as a merge patch it leaves the rest alone.
    pub(crate) fn document(&self) -> Map<String, Value> {
        let mut upstream = Map::new();
        if !self.nodes.is_empty() {
            let nodes: Vec<Value> = self.nodes.iter().map(NodeSpec::document).collect();
            upstream.insert("nodes".to_owned(), nodes.into());
        }
        for (key, value) in [
            ("scheme", &self.scheme),
            ("pass_host", &self.pass_host),
            ("upstream_host", &self.upstream_host),
        ] {
            if let Some(value) = value {
                upstream.insert(key.to_owned(), json!(value));
            }
        }
        let mut document = Map::new();
        if !self.hosts.is_empty() {
            document.insert("hosts".to_owned(), json!(self.hosts));
        }
        if let Some(prefix) = &self.path_prefix {
            document.insert("path_prefix".to_owned(), json!(prefix));
        }
        if !upstream.is_empty() || self.upstream.is_some() {
            let name = self.upstream.as_ref().map_or("default", UpstreamName::as_str);
            let upstreams: Map<String, Value> =
                [(name.to_owned(), upstream.into())].into_iter().collect();
            document.insert("upstreams".to_owned(), upstreams.into());
        }
        document
    }
}

/// Flags of `runtime set`.
#[derive(Debug, Args)]
pub struct SetArgs {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    target: TargetArgs,
    /// Take traffic in this group
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Take no traffic in this group
    #[arg(long)]
    disable: bool,
    #[command(flatten)]
    write: WriteArgs,
}

impl Run for RuntimeCommand {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        match self {
            Self::Get(place) => get(session, &place),
            Self::Set(args) => args.run(session),
            Self::Put { place, file, write } => {
                let document = input::document(&file)?;
                session.write(
                    &write,
                    [&place.group.group],
                    &place.subject(),
                    "updated",
                    |client, options| client.put(&place.endpoint(), &document, options),
                )
            }
            Self::Patch { place, patch, write } => {
                let patch = patch.or_flags(Map::new())?;
                session.write(
                    &write,
                    [&place.group.group],
                    &place.subject(),
                    "updated",
                    |client, options| client.patch(&place.endpoint(), &patch, options),
                )
            }
        }
    }
}

impl SetArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let mut patch = self.target.document();
        if self.enable || self.disable {
            patch.insert("enabled".to_owned(), json!(self.enable));
        }
        if patch.is_empty() {
            return Err(Failure::Usage(
                "nothing to set: give --host, --node or another setting".to_owned(),
            ));
        }
        let patch = Value::Object(patch);
        session.write(
            &self.write,
            [&self.place.group.group],
            &self.place.subject(),
            "updated",
            |client, options| client.patch(&self.place.endpoint(), &patch, options),
        )
    }
}

fn get(session: &mut Session, place: &Place) -> Result<Ending, Failure> {
    let answer = session.client.get(&place.endpoint())?;
    let out = &mut session.output;
    match out.format() {
        Format::Json | Format::Yaml => out.document(&answer.body)?,
        Format::Name => out.line(place.service.as_str())?,
        Format::Table => {
            let runtime: Runtime = view::read(&answer.body)?;
            let last: LastChange = view::read(&answer.body)?;
            show(out, place, &runtime, &last, answer.etag.as_deref())?;
        }
    }
    Ok(Ending::Done)
}

fn show(
    out: &mut Output,
    place: &Place,
    runtime: &Runtime,
    last: &LastChange,
    etag: Option<&str>,
) -> io::Result<()> {
    let mut fields = Table::fields();
    fields.field("service", place.service.as_str()).field("group", place.group.group.as_str());
    add_fields(&mut fields, runtime);
    text::last_change(&mut fields, last);
    fields.field("etag", etag.unwrap_or_default());
    out.table(&fields)?;
    if runtime.upstreams.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.table(&table(runtime))
}

/// The runtime's own settings, for `service get` as well.
pub(crate) fn add_fields(fields: &mut Table, runtime: &Runtime) {
    let hosts = if runtime.hosts.is_empty() { "any".to_owned() } else { runtime.hosts.join(", ") };
    fields.field("enabled", if runtime.enabled { "yes" } else { "no" }).field("hosts", hosts);
    if !runtime.path_prefix.is_empty() {
        let stripped = if runtime.strip_path_prefix { "stripped" } else { "kept" };
        fields.field("path prefix", format!("{} ({stripped})", runtime.path_prefix));
    }
}

/// The upstreams of a runtime.
pub(crate) fn table(runtime: &Runtime) -> Table {
    let mut table = Table::new([
        Column::whole("UPSTREAM"),
        Column::words("NODES"),
        Column::whole("SCHEME"),
        Column::words("HOST HEADER"),
        Column::whole("BALANCER"),
    ]);
    for (name, upstream) in &runtime.upstreams {
        let nodes: Vec<String> = upstream.nodes.iter().map(text::node).collect();
        let nodes = if nodes.is_empty() { "none".to_owned() } else { nodes.join(", ") };
        let host_header = match upstream.pass_host.as_deref() {
            Some("node") => "the node's",
            Some("rewrite") => upstream.upstream_host.as_str(),
            _ => "the client's",
        };
        table.row([
            name.as_str(),
            &nodes,
            upstream.scheme.as_deref().unwrap_or("http"),
            host_header,
            upstream.balancer.r#type.as_deref().unwrap_or("roundrobin"),
        ]);
    }
    table
}

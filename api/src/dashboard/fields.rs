//! The fields of every document, where their readers look for them.

use serde_json::Value;

use super::form::{Field, Kind, Posted, Rows, Section};

/// What is said where plugins would be set.
const NO_PLUGINS: &str = "This version has no plugins yet: any name is refused.";

fn field(prefix: &str, pointer: &str, label: &str, kind: Kind) -> Field {
    Field::new(format!("{prefix}{pointer}"), label, kind)
}

fn select(options: &[(&str, &str)]) -> Kind {
    let option = |(value, label): &(&str, &str)| ((*value).to_owned(), (*label).to_owned());
    Kind::Select(options.iter().map(option).collect())
}

fn checks(options: &[&str]) -> Kind {
    Kind::Checks(options.iter().map(|option| (*option).to_owned()).collect())
}

/// What a group says of itself.
pub(super) fn group(others: &[String]) -> Vec<Section> {
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    let edits = [
        ("allow", "Anything may be edited here"),
        ("runtime-only", "Services change by sync and rollback only"),
    ];
    let slashes = [("reject", "Answer 400"), ("keep", "Keep it; it separates nothing")];
    vec![
        Section::new(
            "Group",
            vec![
                field("", "/description", "Description", Kind::Text),
                field("", "/type", "Type", select(&[("gateway", "Gateway"), ("ingress", "Ingress")]))
                    .help("A group of type ingress is written by its Kubernetes controller and read-only here."),
                field("", "/labels", "Labels", Kind::Pairs)
                    .help("One key=value a line. env=production makes the command line ask before a change."),
            ],
        ),
        Section::new(
            "Promotion rules",
            vec![
                field("", "/promotion/from", "Takes versions that have run in", checks(&others))
                    .help("None chosen: from any group."),
                field("", "/promotion/direct_edits", "Direct edits", select(&edits)),
            ],
        ),
        Section::new(
            "Variables",
            vec![field("", "/variables", "Variables", Kind::Pairs)
                .help("One name=value a line. Documents refer to them as $var://name.")],
        ),
        Section::new(
            "HTTP",
            vec![
                field("", "/http/trusted_proxies", "Trusted proxies", Kind::Lines)
                    .help("Addresses or blocks whose X-Forwarded-For is believed, one a line."),
                field("", "/http/encoded_slashes", "An encoded slash in a path", select(&slashes)),
            ],
        )
        .folded(),
    ]
}

/// What travels with a service beside its routes.
pub(super) fn service() -> Vec<Section> {
    vec![
        Section::new(
            "Service",
            vec![
                field("", "/description", "Description", Kind::Text),
                field("", "/labels", "Labels", Kind::Pairs).help("One key=value a line."),
            ],
        ),
        Section::new(
            "Plugins",
            vec![field("", "/plugins", "Plugins", Kind::Json).help(NO_PLUGINS)],
        )
        .folded(),
    ]
}

/// What a group owns about a service, but for the upstreams.
pub(super) fn runtime() -> Vec<Section> {
    vec![Section::new(
        "In this group",
        vec![
            field("", "/enabled", "Takes requests", Kind::Switch),
            hosts(""),
            field("", "/path_prefix", "Path prefix", Kind::Text)
                .help("Put before every path of the service, such as /api."),
            field("", "/strip_path_prefix", "Take the prefix off before forwarding", Kind::Switch),
        ],
    )]
}

/// The hosts of a service.
pub(super) fn hosts(prefix: &str) -> Field {
    field(prefix, "/hosts", "Hosts", Kind::Lines)
        .help("One a line, such as test.acme.com or *.acme.com. None: any host.")
}

/// A route.
pub(super) fn route(prefix: &str, upstreams: &[String]) -> Vec<Section> {
    let upstream = match upstreams {
        [] => Kind::Text,
        known => Kind::Select(known.iter().map(|name| (name.clone(), name.clone())).collect()),
    };
    let seconds = "Seconds. Empty: the upstream's.";
    vec![
        Section::new(
            "Match",
            [
                basics(prefix),
                vec![
                    field(prefix, "/priority", "Priority", Kind::Number)
                        .help("Decides between routes of the same host and path; higher first."),
                ],
            ]
            .concat(),
        ),
        Section::new(
            "Forward",
            vec![
                field(prefix, "/upstream", "Upstream", upstream),
                field(prefix, "/enabled", "Takes requests", Kind::Switch),
                field(prefix, "/websocket", "Upgrade to WebSocket allowed", Kind::Switch),
            ],
        ),
        Section::new(
            "Conditions",
            vec![
                predicates(prefix, "/match/headers", "Headers"),
                predicates(prefix, "/match/query", "Query parameters"),
                predicates(prefix, "/match/cookies", "Cookies"),
                field(prefix, "/match/remote_addrs", "Client addresses", Kind::Lines)
                    .help("Addresses or blocks, one a line. None: any."),
            ],
        )
        .help("All of them must hold. A regex matches the whole value.")
        .folded(),
        Section::new(
            "Times",
            vec![
                field(prefix, "/timeout/connect", "Connect", Kind::Number).help(seconds),
                field(prefix, "/timeout/send", "Send", Kind::Number).help(seconds),
                field(prefix, "/timeout/read", "Read", Kind::Number).help(seconds),
            ],
        )
        .folded(),
        Section::new(
            "Description and plugins",
            vec![
                field(prefix, "/description", "Description", Kind::Text),
                field(prefix, "/labels", "Labels", Kind::Pairs).help("One key=value a line."),
                field(prefix, "/plugins", "Plugins", Kind::Json).help(NO_PLUGINS),
            ],
        )
        .folded(),
    ]
}

/// What every route has: path and methods.
pub(super) fn basics(prefix: &str) -> Vec<Field> {
    const METHODS: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE"];
    vec![
        field(prefix, "/paths", "Path", Kind::Lines).help(
            "One a line: /headers exact, /api/* by prefix, /users/{id} any one segment, ~regex.",
        ),
        field(prefix, "/methods", "Methods", checks(&METHODS)).help("None chosen: all."),
    ]
}

fn predicates(prefix: &str, pointer: &str, label: &str) -> Field {
    field(prefix, pointer, label, Kind::Rows(Rows::Predicates))
}

/// The nodes of an upstream.
pub(super) fn nodes(prefix: &str) -> Field {
    field(prefix, "/nodes", "Nodes", Kind::Rows(Rows::Nodes))
        .help("Where requests go. Weight 0: drained. Without a node the service waits, not live.")
}

/// What the nodes of an upstream are told, and how.
pub(super) fn connection(prefix: &str) -> Vec<Field> {
    let schemes = [
        ("http", "HTTP"),
        ("https", "HTTPS"),
        ("h2c", "HTTP/2 without TLS"),
        ("grpc", "gRPC"),
        ("grpcs", "gRPC over TLS"),
    ];
    let hosts = [
        ("pass", "The client's host"),
        ("node", "Specified in the Upstream's Host"),
        ("rewrite", "Rewritten to the host below"),
    ];
    vec![
        field(prefix, "/scheme", "Scheme", select(&schemes)),
        field(prefix, "/pass_host", "The host HTTP header passed to upstream", select(&hosts)),
        field(prefix, "/upstream_host", "Rewritten host", Kind::Text)
            .help("Only with \u{201c}Rewritten to the host below\u{201d}."),
    ]
}

/// An upstream: its document says which checks there are.
pub(super) fn upstream(prefix: &str, document: &Value, posted: &Posted) -> Vec<Section> {
    let document = &document["checks"];
    let balancers = [
        ("roundrobin", "Round robin"),
        ("chash", "Consistent hash"),
        ("least_conn", "Least connections"),
        ("ewma", "Lowest latency"),
        ("p2c", "Less loaded of two"),
    ];
    let hash_on = [
        ("", "\u{2014}"),
        ("header", "Header"),
        ("cookie", "Cookie"),
        ("query", "Query parameter"),
        ("remote_addr", "Client address"),
        ("consumer", "Consumer"),
        ("uri", "Path and query"),
    ];
    vec![
        Section::new("Nodes", vec![nodes(prefix)]),
        Section::new("Connection configuration", connection(prefix)),
        Section::new(
            "Balancing",
            vec![
                field(prefix, "/balancer/type", "Method", select(&balancers)),
                field(prefix, "/balancer/hash_on", "Hash of", select(&hash_on))
                    .help("Only with consistent hash."),
                field(
                    prefix,
                    "/balancer/key",
                    "Name of the header, cookie or parameter",
                    Kind::Optional,
                ),
                field(prefix, "/max_in_flight", "Most requests in flight", Kind::Number)
                    .help("0: any number. More are answered 503."),
            ],
        )
        .folded(),
        Section::new(
            "Retries and times",
            vec![
                field(prefix, "/retries", "Further tries", Kind::Number)
                    .help("Empty: one for each other node."),
                field(prefix, "/retry_on", "Try again on", Kind::Lines)
                    .help("One a line: connect, timeout, reset, 5xx, or a status."),
                field(prefix, "/retry_timeout", "Seconds for all tries", Kind::Number)
                    .help("0: no limit."),
                field(prefix, "/timeout/connect", "Connect, in seconds", Kind::Number),
                field(prefix, "/timeout/send", "Send, in seconds", Kind::Number),
                field(prefix, "/timeout/read", "Read, in seconds", Kind::Number),
            ],
        )
        .folded(),
        Section::new(
            "Idle connections and TLS",
            vec![
                field(prefix, "/keepalive/size", "Idle connections for each node", Kind::Number),
                field(prefix, "/keepalive/idle_timeout", "Kept for, in seconds", Kind::Number),
                field(prefix, "/keepalive/requests", "Requests of a connection", Kind::Number)
                    .help("0: any number."),
                field(prefix, "/tls/verify", "Verify the node's certificate", Kind::Switch),
                field(prefix, "/tls/ca", "Authorities to trust", Kind::Area).help(
                    "PEM or a reference, such as $file:///etc/ssl/upstream-ca.pem. Empty: the system's.",
                ),
                field(prefix, "/tls/client_certificate", "Certificate shown to nodes", Kind::Text)
                    .help("The name of a certificate of the group."),
            ],
        )
        .folded(),
        Section::new("Health checks", active(prefix, posted, &document["active"])),
        Section::new("Health by requests", passive(prefix, posted, &document["passive"])),
    ]
}

/// The switches of an upstream's checks, and what they are of.
pub(super) const CHECKS: [(&str, &str); 2] =
    [("active_checks", "/checks/active"), ("passive_checks", "/checks/passive")];

const CHECK_TYPES: [(&str, &str); 3] = [
    ("http", "An HTTP request"),
    ("https", "An HTTP request over TLS"),
    ("tcp", "A TCP connection"),
];

/// How a gateway asks the nodes by itself.
fn active(prefix: &str, posted: &Posted, document: &Value) -> Vec<Field> {
    let of = |rest: &str, label: &str, kind| {
        field(prefix, &format!("/checks/active{rest}"), label, kind)
    };
    let mut types = vec![("", "As the scheme has it")];
    types.extend(CHECK_TYPES);
    let seconds = "Seconds.";
    let row = "In a row. 0: none do.";
    vec![
        Field::lead(CHECKS[0].0, "Ask every node by itself", posted, document.is_object()),
        of("/type", "By", select(&types)),
        of("/http_path", "Path", Kind::Optional).help("With its query."),
        of("/host", "Host", Kind::Optional).help("Empty: the one that requests are passed with."),
        of("/port", "Port", Kind::Number).help("Empty: the node's."),
        of("/headers", "Headers", Kind::Pairs).help("One name=value a line."),
        of("/timeout", "Time for an answer", Kind::Number).help(seconds),
        of("/healthy/interval", "Between two checks of a healthy node", Kind::Number).help(seconds),
        of("/healthy/successes", "Good checks that bring a node back", Kind::Number).help(row),
        of("/healthy/http_statuses", "Statuses of good checks", Kind::Numbers),
        of("/unhealthy/interval", "Between two checks of a node that is out", Kind::Number)
            .help(seconds),
        of("/unhealthy/http_failures", "Bad statuses that take a node out", Kind::Number).help(row),
        of("/unhealthy/tcp_failures", "Failed connections that do", Kind::Number).help(row),
        of("/unhealthy/timeouts", "Checks without an answer in time that do", Kind::Number)
            .help(row),
        of("/unhealthy/http_statuses", "Statuses of bad checks", Kind::Numbers),
        field(prefix, "/checks/panic_threshold", "Percent of healthy nodes", Kind::Number)
            .help("When fewer are healthy, all are used as if they were. 0: never."),
    ]
}

/// What a gateway takes of the answers to requests.
fn passive(prefix: &str, posted: &Posted, document: &Value) -> Vec<Field> {
    let of = |rest: &str, label: &str, kind| {
        field(prefix, &format!("/checks/passive{rest}"), label, kind)
    };
    let row = "Without a good one between. 0: none do.";
    let lead = Field::lead(CHECKS[1].0, "Count what requests meet", posted, document.is_object());
    let mut types = vec![("", "Statuses and connections")];
    types.extend(CHECK_TYPES);
    vec![
        lead.help("Takes nodes out; health checks bring them back, and are needed for it."),
        of("/type", "By", select(&types)),
        of("/unhealthy/http_failures", "Bad answers that take a node out", Kind::Number).help(row),
        of("/unhealthy/tcp_failures", "Failed connections that do", Kind::Number).help(row),
        of("/unhealthy/timeouts", "Answers too late that do", Kind::Number).help(row),
        of("/unhealthy/http_statuses", "Statuses of bad answers", Kind::Numbers),
        of("/healthy/successes", "Good answers that bring back", Kind::Number)
            .help("One that still gets requests. 0: none do."),
        of("/healthy/http_statuses", "Statuses of good answers", Kind::Numbers),
    ]
}

/// A consumer.
pub(super) fn consumer() -> Vec<Section> {
    vec![
        Section::new(
            "Consumer",
            vec![
                field("", "/description", "Description", Kind::Text),
                field("", "/labels", "Labels", Kind::Pairs).help("One key=value a line."),
            ],
        ),
        Section::new(
            "Credentials",
            vec![field("", "/credentials", "Credentials", Kind::Json).help(
                "By name. Secrets are references or hashes: {\"main\": {\"type\": \"key-auth\", \"key\": \"$env://APP_KEY\"}}.",
            )],
        ),
        Section::new(
            "Plugins",
            vec![field("", "/plugins", "Plugins", Kind::Json).help(NO_PLUGINS)],
        )
        .folded(),
    ]
}

/// A certificate.
pub(super) fn certificate() -> Vec<Section> {
    vec![Section::new(
        "Certificate",
        vec![
            field("", "/description", "Description", Kind::Text),
            field("", "/snis", "Names that clients ask for (SNI)", Kind::Lines).help("One a line."),
            field("", "/certificate", "Certificate chain", Kind::Area)
                .help("PEM, the certificate of the names first; or a reference."),
            field("", "/private_key", "Private key", Kind::Text)
                .help("Only ever a reference, such as $file:///etc/ssl/acme.key."),
            field("", "/client_ca", "Authorities of clients", Kind::Area)
                .help("PEM or a reference. Empty: clients are asked for no certificate."),
            field("", "/labels", "Labels", Kind::Pairs).help("One key=value a line."),
        ],
    )]
}

/// A global rule.
pub(super) fn global_rule() -> Vec<Section> {
    vec![Section::new(
        "Global rule",
        vec![
            field("", "/description", "Description", Kind::Text),
            field("", "/plugins", "Plugins", Kind::Json).help(NO_PLUGINS),
        ],
    )]
}

//! The fields of every document, where their readers look for them.

use super::form::{Field, Kind, Section};

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
            vec![field("", "/plugins", "Plugins", Kind::Json)
                .help("They run for every route of the service. A route's plugin replaces the service's of that name.")],
        ),
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
                field(
                    prefix,
                    "/match",
                    "Conditions on headers, query, cookies, addresses",
                    Kind::Json,
                )
                .help("Such as {\"headers\": [{\"name\": \"x-canary\", \"value\": \"1\"}]}."),
            ],
        )
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
                field(prefix, "/plugins", "Plugins", Kind::Json),
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

/// The nodes of an upstream.
pub(super) fn nodes(prefix: &str) -> Field {
    field(prefix, "/nodes", "Nodes", Kind::Nodes)
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

/// An upstream.
pub(super) fn upstream(prefix: &str) -> Vec<Section> {
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
        Section::new(
            "Health checks",
            vec![
                field(prefix, "/checks", "Checks", Kind::Json)
                    .help("Active and passive checks, as in the reference of upstreams."),
            ],
        )
        .folded(),
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
        Section::new("Plugins", vec![field("", "/plugins", "Plugins", Kind::Json)]).folded(),
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
            field("", "/plugins", "Plugins", Kind::Json)
                .help("They run for every request of the group."),
        ],
    )]
}

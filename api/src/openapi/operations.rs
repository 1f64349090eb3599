//! Every operation: what the table of endpoints does not say by itself.

mod configuration;
mod promotion;
mod server;

use super::operation::Operation;

macro_rules! service {
    ($rest:literal) => {
        concat!("/v1/groups/{group}/services/{service}", $rest)
    };
}
use service;

/// What operations are grouped by, and what that is.
pub(super) const TAGS: [(&str, &str); 12] = [
    (GROUPS, "Gateways that share one configuration: a branch."),
    (
        SERVICES,
        "What is versioned and promoted: routes and plugins; and what a group owns about it.",
    ),
    (ROUTES, "One route of a service."),
    (VERSIONS, "A number for one exact content of a service: a tag."),
    (PROMOTION, "A version to other groups, and an older one back."),
    (CONSUMERS, "Who calls the services of a group."),
    (CERTIFICATES, "What a group's gateways present, by the name that clients ask for."),
    (RULES, "Plugins that run for every request of a group."),
    (HISTORY, "What happened, and what would change."),
    (GATEWAYS, "Instances, and what each serves."),
    (TOKENS, "Who may come in, and how far."),
    (SERVER, "The control plane itself."),
];

const GROUPS: &str = "Groups";
const SERVICES: &str = "Services";
const ROUTES: &str = "Routes";
const VERSIONS: &str = "Versions";
const PROMOTION: &str = "Promotion";
const CONSUMERS: &str = "Consumers";
const CERTIFICATES: &str = "Certificates";
const RULES: &str = "Global rules";
const HISTORY: &str = "History";
const GATEWAYS: &str = "Gateways";
const TOKENS: &str = "Tokens";
const SERVER: &str = "Server";

/// All of them.
pub(super) fn all() -> Vec<Operation> {
    let mut all = configuration::groups();
    all.extend(configuration::services());
    all.extend(configuration::routes());
    all.extend(promotion::versions());
    all.extend(promotion::promotion());
    all.extend(configuration::objects());
    all.extend(promotion::history());
    all.extend(server::gateways());
    all.extend(server::tokens());
    all.extend(server::server());
    all
}

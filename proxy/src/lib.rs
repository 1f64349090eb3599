//! The data plane of Refgate: a gateway that follows a branch of the configuration repository.
//!
//! [`start`] makes a [`Gateway`]: it listens, follows its group's branch, and serves requests through
//! Pingora. Control planes start gateways in their own process with it; the program
//! `refgate-gateway` is [`command`] and nothing else. A control plane elsewhere is known by its HTTP
//! contract alone, in [`control_plane`].
//!
//! The way of a configuration: [`source`] notices a commit, core loads and proves it, [`snapshot`]
//! compiles it, one atomic swap publishes it. The way of a request: [`gateway`] accepts the
//! connection, [`forward`] takes the request, [`router`] finds its route, [`upstream`] the node.

mod access_log;
mod certificate;
mod check_in;
pub mod command;
mod control_plane;
mod digits;
mod file_state;
mod forward;
mod gateway;
mod metrics;
mod reference;
mod request_id;
mod respond;
mod router;
mod snapshot;
mod source;
mod status;
mod upstream;

pub use access_log::{AccessLog, LogTarget};
pub use control_plane::client::ClientError;
pub use control_plane::{ControlPlane, ControlPlaneUrl, UrlError};
pub use gateway::{Gateway, GatewayOptions, Limits, StartError, start};
pub use router::explain::{Considered, Explanation, Matched, Verdict, explain};
pub use router::routes::{Answer, Asked, Routes};
pub use source::watch::Watch as RepositoryWatch;
pub use source::{SourceFrom, SourceOptions};
pub use status::{GatewayStatus, State};

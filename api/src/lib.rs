//! The control plane of Refgate and its command line.
//!
//! Two halves that share nothing but the HTTP contract. The control plane: [`server`] runs it,
//! [`http`] answers, [`fleet`] knows the gateways, [`blocking`] is the one way to the
//! configuration repository, [`problem`] the one way out for errors, [`openapi`] says what the API is,
//! [`dashboard`] is the same for people who use a browser.
//! The command line: [`command`], its [`client`], and what people see of it in [`output`].

pub mod auth;
pub mod blocking;
mod body;
pub mod client;
pub mod command;
mod dashboard;
pub mod fleet;
mod heads;
pub mod http;
mod limits;
pub mod metrics;
pub mod openapi;
pub mod output;
pub mod problem;
pub mod server;

//! Documents, validation, git store, versions and promotion of Refgate.
//!
//! A synchronous library that is given paths, bytes, a clock and names; it knows nothing of HTTP,
//! async runtimes, the environment or a terminal.

pub mod change;
pub mod checkout;
pub mod config;
mod content;
pub mod diagnostic;
pub mod diff;
pub mod document;
mod error;
pub mod event;
pub mod host;
pub mod import;
mod index;
pub mod json;
pub mod limits;
pub mod merge;
pub mod mirror;
pub mod name;
pub mod object;
pub mod path;
pub mod pattern;
mod pem;
pub mod push;
pub mod repository;
pub mod store;
pub mod template;
pub mod validate;
pub mod version;
pub mod view;

pub use error::{Conflict, Error};

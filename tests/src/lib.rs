//! What the end-to-end tests stand on: real processes, real HTTP, real git.
//!
//! Nothing here knows the inside of a crate of Refgate; a test sees what a person
//! sees: programs, their output, sockets and a git repository. The modules, from
//! the ground up: [`wait`] (the one place that polls), [`programs`] (which binaries
//! are tested), [`process`] (one running program), [`http`] (requests and answers),
//! [`git`] (the git command, reading), [`stage`] (Refgate and an origin, started in
//! a directory of their own), [`storm`] (commits under load), [`browser`] (pages of a
//! Refgate in a real browser). The tests are in `e2e/`, one module per noun.

pub mod browser;
pub mod git;
pub mod http;
pub mod process;
pub mod programs;
pub mod stage;
pub mod storm;
pub mod wait;

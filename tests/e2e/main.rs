//! End-to-end tests: real processes, real HTTP, real git. One module per noun; the
//! harness they share is the library of this crate.

mod bad_input;
mod browser;
mod checkout;
mod command;
mod dashboard;
mod demo;
mod documents;
mod durability;
mod fleet;
mod gateway;
mod git_transport;
mod layers;
mod promotion;
mod push;
mod reload;
mod startup;
mod stopping;
mod story;

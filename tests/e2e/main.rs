//! End-to-end tests: real processes, real HTTP, real git. One module per noun; the
//! harness they share is the library of this crate.

mod bad_input;
mod command;
mod demo;
mod durability;
mod gateway;
mod layers;
mod promotion;
mod reload;
mod startup;
mod story;

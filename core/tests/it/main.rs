//! The library over real repositories on disk.

mod diagnostics;
mod documents;
mod faults;
mod history;
mod model;
mod objects;
mod promotion;
mod random;
mod repository;
mod support;

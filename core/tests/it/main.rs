//! The library over real repositories on disk.

mod check;
mod damage;
mod diagnostics;
mod document_reference;
mod documents;
mod faults;
mod history;
mod mirror;
mod model;
mod objects;
mod promotion;
mod push;
mod random;
mod reader;
mod repository;
mod schema;
mod standing;
mod support;
mod template;
mod warnings;

//! The library over real repositories on disk.

mod documents;
mod promotion;
mod repository;
mod support;

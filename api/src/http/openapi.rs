//! What the API is, for programs and for people; made in [`crate::openapi`].

use super::Answer;
use super::params::NoParams;
use crate::openapi;

pub(super) async fn document(_: NoParams) -> Answer {
    Ok(openapi::serve())
}

pub(super) async fn page(_: NoParams) -> Answer {
    openapi::browse()
}

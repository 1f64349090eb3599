//! The matrix: which group runs which version of what.

use axum::extract::State;
use axum::http::HeaderMap;
use refgate_core::name::ServiceName;
use refgate_core::view::MatrixPage;
use serde_json::{Map, json};

use super::page::{self, PageParams};
use super::params::NoParams;
use super::path::At;
use super::{Answer, Api, conditional};

pub(super) async fn list(State(api): State<Api>, page: PageParams) -> Answer {
    let PageParams { limit, after } = page;
    let read = api.store.read(move |repository| repository.matrix(after.as_deref(), limit));
    let MatrixPage { rows, total, damaged } = read.await?;
    let mut beside = Map::new();
    if !damaged.is_empty() {
        beside.insert("damaged".to_owned(), json!(damaged));
    }
    let last = rows.last().filter(|_| total > rows.len());
    page::answer_beside(&rows, last.map(|row| row.service.to_string()), beside)
}

pub(super) async fn get(
    State(api): State<Api>,
    At((service,)): At<(ServiceName,)>,
    _: NoParams,
    headers: HeaderMap,
) -> Answer {
    let row = api.store.read(move |repository| repository.matrix_row(&service)).await?;
    conditional::respond_whole(&headers, &row)
}

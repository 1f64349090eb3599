//! The matrix: which group runs which version of what.

use axum::extract::State;
use axum::http::HeaderMap;
use refgate_core::name::ServiceName;
use refgate_core::repository::Repository;

use super::page::PageParams;
use super::params::NoParams;
use super::path::At;
use super::{Answer, Api, conditional};

pub(super) async fn list(State(api): State<Api>, page: PageParams) -> Answer {
    let rows = api.store.read(Repository::matrix).await?;
    page.cut(rows, |row| row.service.to_string())
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

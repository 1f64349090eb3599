//! Lists in pages: `limit` and `after` in, `{items, next}` out.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Answer;
use super::params::Params;
use crate::limits;
use crate::problem::{Kind, Problem};

/// Which page of a list is asked for.
#[derive(Debug, Clone)]
pub(super) struct PageParams {
    pub(super) limit: usize,
    pub(super) after: Option<String>,
}

impl PageParams {
    /// Takes the two out of a query that has more.
    pub(super) fn take(params: &mut Params) -> Result<Self, Problem> {
        let limit = params.parsed("limit")?.unwrap_or(limits::PAGE_DEFAULT);
        if limit == 0 {
            let detail = "the query parameter \"limit\" is 1 or more";
            return Err(Problem::new(Kind::MalformedRequest, detail));
        }
        // Asking for more than a page holds is fine: the cursor leads to the rest.
        Ok(Self { limit: limit.min(limits::PAGE), after: params.text("after")? })
    }

    /// The page of a whole list, sorted by `key`; the cursor is the key of the last item.
    pub(super) fn cut<T: Serialize>(self, mut items: Vec<T>, key: impl Fn(&T) -> String) -> Answer {
        items.sort_by_cached_key(&key);
        let after = self.after;
        let mut rest =
            items.into_iter().filter(|item| after.as_ref().is_none_or(|after| key(item) > *after));
        let page: Vec<T> = rest.by_ref().take(self.limit).collect();
        let next = rest.next().and_then(|_| page.last().map(key));
        answer(&page, next)
    }

    /// The page of a whole list whose order is its own; the cursor is the key of the last item.
    pub(super) fn cut_in_order<T: Serialize>(
        self,
        items: Vec<T>,
        key: impl Fn(&T) -> String,
    ) -> Answer {
        let begin = match self.after {
            None => 0,
            Some(after) => {
                let last = items.iter().position(|item| key(item) == after).ok_or_else(|| {
                    let detail = "the query parameter \"after\" is a cursor of this list";
                    Problem::new(Kind::MalformedRequest, detail)
                })?;
                last + 1
            }
        };
        let rest = items.get(begin..).unwrap_or_default();
        let page = rest.get(..self.limit).unwrap_or(rest);
        let more = page.len() < rest.len();
        answer(page, page.last().filter(|_| more).map(key))
    }
}

/// A page whose cursor is known.
pub(super) fn answer<T: Serialize>(items: &[T], next: Option<String>) -> Answer {
    answer_beside(items, next, Map::new())
}

/// A page as it is sent: written straight from the items, which a copy as JSON would outweigh.
#[derive(Serialize)]
struct Page<'a, T> {
    items: &'a [T],
    next: Option<String>,
    #[serde(flatten)]
    beside: Map<String, Value>,
}

/// The same, with what is told of the list as a whole beside its items.
pub(super) fn answer_beside<T: Serialize>(
    items: &[T],
    next: Option<String>,
    beside: Map<String, Value>,
) -> Answer {
    Ok(Json(Page { items, next, beside }).into_response())
}

impl<S: Sync> FromRequestParts<S> for PageParams {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let mut params = Params::from_request_parts(parts, state).await?;
        let page = Self::take(&mut params)?;
        params.finish().map(|()| page)
    }
}

//! Style, scripts and the icon: built into the program, named by what is in them, so that browsers
//! keep them for good.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::Answer;
use super::page::harden;
use crate::problem::{Kind, Problem};

/// Name, type and content of each.
const FILES: [(&str, &str, &[u8]); 4] = [
    ("style.css", "text/css; charset=utf-8", include_bytes!("../../assets/style.css")),
    ("refgate.js", "text/javascript; charset=utf-8", include_bytes!("../../assets/refgate.js")),
    (
        "htmx.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../assets/vendor/htmx-2.0.11.min.js"),
    ),
    ("icon.svg", "image/svg+xml", include_bytes!("../../assets/icon.svg")),
];

/// What stands for the content of all of them.
static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for (_, _, content) in FILES {
        digest.update(content);
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
});

/// Where the assets are.
pub(super) fn base() -> String {
    format!("/assets/{}", *HASH)
}

pub(super) async fn get(Path((hash, file)): Path<(String, String)>) -> Answer {
    let found = FILES.iter().find(|(name, _, _)| *name == file && hash == *HASH);
    let (_, kind, content) =
        found.ok_or_else(|| Problem::new(Kind::NotFound, "there is no such asset"))?;
    let mut response: Response = (*content).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    harden(headers);
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, forever);
    Ok(response)
}

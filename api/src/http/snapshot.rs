//! What a remote gateway fetches: a group at its head, or what changed since a commit of it.
//!
//! A gateway that has the head waits here, as long as it says, and is woken by the next commit. Many
//! gateways that want the same are sent the same bytes, made once, and compressed once for those that
//! read gzip.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Write as _;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use refgate_core::name::{CommitId, GroupName};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::timeout;
use tokio_stream::Stream;

use super::params::Params;
use super::path::At;
use super::{Answer, Api, conditional};
use crate::heads::Commits;
use crate::limits::{SNAPSHOTS, WAIT_SECONDS};
use crate::problem::{Kind, Problem};

/// How much of a snapshot is handed on at once.
const CHUNK: usize = 64 << 10;

/// Bytes below which a body is sent as it is.
const WORTH_COMPRESSING: usize = 1024;

/// The header in which a client says how long it would wait (RFC 7240).
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Snapshots on their way.
pub(super) struct Desk {
    places: Arc<Semaphore>,
    /// One is made at a time; whoever wants the same meanwhile gets it too. What nobody is sent any
    /// more is gone.
    made: Mutex<HashMap<Wanted, Weak<Made>>>,
}

/// A group, the commit that it is at, the commit that the gateway has, and whether it reads gzip.
type Wanted = (GroupName, CommitId, Option<CommitId>, bool);

struct Made {
    commit: CommitId,
    body: Bytes,
    is_gzip: bool,
}

impl Default for Desk {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(SNAPSHOTS)), made: Mutex::default() }
    }
}

pub(super) async fn get(
    State(api): State<Api>,
    At((group,)): At<(GroupName,)>,
    mut params: Params,
    headers: HeaderMap,
) -> Answer {
    let since = params.parsed::<CommitId>("since")?;
    params.finish()?;
    let (wait, gzip) = (wait(&headers)?, reads_gzip(&headers));
    let place = Arc::clone(&api.snapshots.places).try_acquire_owned().map_err(|_| {
        Problem::new(
            Kind::Unavailable,
            "too many snapshots are being fetched; try again in a moment",
        )
    })?;
    // Before the first look, so that no commit falls in between.
    let heads = api.heads.subscribe();
    let mut head = head(&api, &group).await?;
    if conditional::knows(&headers, &head.to_string())? {
        match next(&api, heads, &group, head, wait).await {
            Some(moved) => head = moved,
            // Who comes again at once would come for nothing.
            None if *api.draining.borrow() => {
                return Err(Problem::new(
                    Kind::Unavailable,
                    "the control plane is stopping; ask again when it has started",
                ));
            }
            None => {
                api.metrics.snapshot("unchanged", 0);
                return Ok((StatusCode::NOT_MODIFIED, [etag(head)?]).into_response());
            }
        }
    }
    let made = made(&api, &group, head, since, gzip).await?;
    api.metrics.snapshot("sent", made.body.len());
    let (body, length, tag) = (made.body.clone(), made.body.len(), etag(made.commit)?);
    let is_gzip = made.is_gzip;
    let content = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut response = Response::new(Body::from_stream(chunks(body, (made, place))));
    let vary = (header::VARY, HeaderValue::from_static("accept-encoding"));
    response.headers_mut().extend([content, tag, vary, (header::CONTENT_LENGTH, length.into())]);
    if is_gzip {
        let coding = HeaderValue::from_static("gzip");
        response.headers_mut().insert(header::CONTENT_ENCODING, coding);
    }
    Ok(response)
}

/// Whether the client takes a body in gzip.
fn reads_gzip(headers: &HeaderMap) -> bool {
    let lines =
        headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let mut codings = lines.flat_map(|line| line.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let refused = weight.trim().strip_prefix("q=").and_then(|q| q.parse().ok()) == Some(0.0);
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// A body in parts, with something that is kept until the last was taken.
fn chunks<K: Send + 'static>(
    body: Bytes,
    kept: K,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    let parts = body.len().div_ceil(CHUNK);
    tokio_stream::iter((0..parts).map(move |part| {
        let _until_the_end = &kept;
        let begin = part * CHUNK;
        Ok(body.slice(begin..body.len().min(begin + CHUNK)))
    }))
}

/// How long the client would wait.
fn wait(headers: &HeaderMap) -> Result<Duration, Problem> {
    let malformed = || {
        let detail = format!("Prefer: wait= is 0 to {WAIT_SECONDS} seconds");
        Problem::new(Kind::MalformedRequest, detail)
    };
    for value in headers.get_all(PREFER) {
        let text = value.to_str().map_err(|_| malformed())?;
        let parts = text.split([',', ';']).filter_map(|part| part.trim().split_once('='));
        for (name, value) in parts {
            if name.trim().eq_ignore_ascii_case("wait") {
                let seconds: f64 =
                    value.trim().trim_matches('"').parse().map_err(|_| malformed())?;
                let sound = (0.0..=WAIT_SECONDS).contains(&seconds);
                return if sound { Ok(Duration::from_secs_f64(seconds)) } else { Err(malformed()) };
            }
        }
    }
    Ok(Duration::ZERO)
}

fn etag(commit: CommitId) -> Result<(HeaderName, HeaderValue), Problem> {
    let value = HeaderValue::from_str(&format!("\"{commit}\""));
    value.map(|tag| (header::ETAG, tag)).map_err(|error| Problem::internal(&error))
}

async fn head(api: &Api, group: &GroupName) -> Result<CommitId, Problem> {
    let name = group.clone();
    api.store.read(move |repository| repository.head(&name)).await
}

/// The head that comes after `known`, if one comes in time. A group that goes meanwhile has none.
async fn next(
    api: &Api,
    mut heads: watch::Receiver<Commits>,
    group: &GroupName,
    known: CommitId,
    wait: Duration,
) -> Option<CommitId> {
    let moved = async {
        // What is told may still be behind what was read.
        let mut told = heads.borrow().get(group).copied();
        loop {
            heads.changed().await.ok()?;
            let now = heads.borrow_and_update().get(group).copied();
            if now != told && now != Some(known) {
                return now;
            }
            told = now;
        }
    };
    let mut draining = api.draining.subscribe();
    tokio::select! {
        moved = timeout(wait, moved) => moved.ok().flatten(),
        _ = draining.wait_for(|draining| *draining) => None,
    }
}

/// The answer, made now or a moment ago.
async fn made(
    api: &Api,
    group: &GroupName,
    head: CommitId,
    since: Option<CommitId>,
    gzip: bool,
) -> Result<Arc<Made>, Problem> {
    let mut all = api.snapshots.made.lock().await;
    all.retain(|_, made| made.strong_count() > 0);
    let wanted = (group.clone(), head, since, gzip);
    if let Some(made) = all.get(&wanted).and_then(Weak::upgrade) {
        return Ok(made);
    }
    let name = group.clone();
    let made = api.store.read(move |repository| {
        let update = repository.update(&name, since)?;
        let body = serde_json::to_vec(&update).map_err(|error| Problem::internal(&error))?;
        let is_gzip = gzip && body.len() >= WORTH_COMPRESSING;
        let body = match is_gzip {
            true => compressed(&body).map_err(|error| Problem::internal(&error))?,
            false => body,
        };
        Ok::<_, Problem>(Made { commit: update.commit, body: body.into(), is_gzip })
    });
    let made = Arc::new(made.await?);
    // The group may have moved on meanwhile; then it is that commit's.
    all.insert((group.clone(), made.commit, since, gzip), Arc::downgrade(&made));
    Ok(made)
}

fn compressed(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_gzip() {
        let table = [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0, br", false),
            ("gzip; q=0.0", false),
            ("identity", false),
            ("", false),
        ];
        for (text, reads) in table {
            let line = [(header::ACCEPT_ENCODING, HeaderValue::from_static(text))];
            assert_eq!(reads_gzip(&HeaderMap::from_iter(line)), reads, "{text}");
        }
    }

    #[test]
    fn how_long_clients_wait() {
        let table = [
            ("wait=10", Some(10.0)),
            ("respond-async, wait=0.5", Some(0.5)),
            ("Wait=\"3\"; x=1", Some(3.0)),
            ("return=minimal", Some(0.0)),
            ("wait=301", None),
            ("wait=-1", None),
            ("wait=soon", None),
            ("wait=NaN", None),
        ];
        for (text, seconds) in table {
            let headers = HeaderMap::from_iter([(PREFER, HeaderValue::from_static(text))]);
            let read = wait(&headers).ok();
            assert_eq!(read, seconds.map(Duration::from_secs_f64), "{text}");
        }
        assert_eq!(wait(&HeaderMap::new()).ok(), Some(Duration::ZERO));
    }
}

//! Server-sent events of a group: `commit` for every new commit, `convergence` whenever what the
//! instances serve changes.
//!
//! The task behind a stream keeps no queue of happenings: whatever wakes it (a write through this
//! process, a report of an instance, the clock), it reads the history and the instances anew and
//! tells what the client does not know yet. So a push by another process is told too, and a
//! client that comes back with `Last-Event-ID` misses nothing.

use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use refgate_core::name::{GroupName, Revision};
use refgate_core::view::HistoryFilter;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_stream::wrappers::{ReceiverStream, WatchStream};
use tokio_stream::{StreamExt, StreamMap};

use super::params::NoParams;
use super::path::At;
use super::{Answer, Api};
use crate::fleet::convergence::{Convergence, Target};
use crate::problem::{Kind, Problem};

/// How soon a commit made by another process is told.
const POLL: Duration = Duration::from_secs(1);
/// Events that wait for a slow client.
const BACKLOG: usize = 16;
/// Commits read from the history in one go.
const PAGE: usize = 100;

pub(super) async fn stream(
    State(api): State<Api>,
    At((group,)): At<(GroupName,)>,
    _: NoParams,
    headers: HeaderMap,
) -> Answer {
    let known = match headers.get("last-event-id") {
        Some(value) => {
            let revision = value.to_str().ok().and_then(|text| text.parse().ok()).map(Revision);
            let detail = "Last-Event-ID is the revision of the last commit that was told";
            revision.ok_or_else(|| Problem::new(Kind::MalformedRequest, detail))?
        }
        None => head(&api, &group).await?.revision,
    };
    let place = api
        .streams
        .clone()
        .try_acquire_owned()
        .map_err(|_| Problem::new(Kind::Unavailable, "too many event streams are open"))?;
    let (out, events) = mpsc::channel(BACKLOG);
    let follower = Follower { api, group, known, told: None, out };
    tokio::spawn(async move {
        let _place = place;
        follower.run().await;
    });
    Ok(Sse::new(ReceiverStream::new(events).map(Ok::<_, std::convert::Infallible>))
        .keep_alive(KeepAlive::default())
        .into_response())
}

/// The task behind one stream; ends with the client, with the group, or with the server.
struct Follower {
    api: Api,
    group: GroupName,
    /// The last commit that the client knows.
    known: Revision,
    told: Option<Convergence>,
    out: mpsc::Sender<Event>,
}

/// Why a follower ends.
struct Ended;

impl Follower {
    async fn run(mut self) {
        let mut draining = self.api.draining.subscribe();
        let mut written = self.api.written.subscribe();
        let mut reports = StreamMap::new();
        for (index, instance) in self.api.fleet.of_group(&self.group).into_iter().enumerate() {
            reports.insert(index, WatchStream::from_changes(instance));
        }
        let mut clock = interval(POLL);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.out.closed() => return,
                _ = draining.wait_for(|draining| *draining) => return,
                Ok(()) = written.changed() => {}
                Some(_) = reports.next() => {}
                _ = clock.tick() => {}
            }
            if self.tell().await.is_err() {
                return;
            }
        }
    }

    async fn tell(&mut self) -> Result<(), Ended> {
        let head = head(&self.api, &self.group).await.map_err(|_| Ended)?;
        if head.revision > self.known {
            self.tell_commits().await?;
        }
        let draining = self.api.draining.subscribe();
        let now = self.api.fleet.converge(&self.api.store, &head, Instant::now(), draining).await;
        if self.told.as_ref() != Some(&now) {
            let event = Event::default().event("convergence").json_data(&now).map_err(|_| Ended)?;
            self.out.send(event).await.map_err(|_| Ended)?;
            self.told = Some(now);
        }
        Ok(())
    }

    async fn tell_commits(&mut self) -> Result<(), Ended> {
        let mut news = Vec::new();
        let mut after = None;
        loop {
            let (group, known) = (self.group.clone(), self.known);
            let filter = HistoryFilter { after, limit: PAGE, ..HistoryFilter::default() };
            let page = self.api.store.read(move |repository| repository.history(&group, &filter));
            let page = page.await.map_err(|_| Ended)?;
            let found = page.len();
            news.extend(page.into_iter().filter(|event| event.revision > known));
            after = news.last().map(|event| event.revision);
            if found < PAGE || after.is_none_or(|last| last.0 <= known.0 + 1) {
                break;
            }
        }
        for commit in news.into_iter().rev() {
            self.known = commit.revision;
            let event = Event::default().event("commit").id(commit.revision.to_string());
            let event = event.json_data(&commit).map_err(|_| Ended)?;
            self.out.send(event).await.map_err(|_| Ended)?;
        }
        Ok(())
    }
}

/// The head of a group as something that instances come to serve.
async fn head(api: &Api, group: &GroupName) -> Result<Target, Problem> {
    let name = group.clone();
    let view = api.store.read(move |repository| repository.group(&name)).await?;
    Ok(Target { group: group.clone(), commit: view.head, revision: view.revision })
}

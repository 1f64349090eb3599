//! Server-sent events of a group: `commit` for every new commit, `gateway` whenever an instance is
//! another than it was, `convergence` whenever what the instances serve changes.
//!
//! The task behind a stream keeps no queue of happenings: whatever wakes it (a head that moved, a
//! report of an instance, the silence of one), it reads the history and the instances anew and tells
//! what the client does not know yet. So a push by another process is told too, and a client that
//! comes back with `Last-Event-ID` misses no commit. A client that takes nothing for a minute is let
//! go; what it would have been told is never more than a few events.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use refgate_core::name::{CommitId, GroupName, Revision};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::params::NoParams;
use super::path::At;
use super::{Answer, Api};
use crate::fleet::convergence::{Convergence, Target};
use crate::fleet::instance::Instance;
use crate::limits::EVENT_PATIENCE;
use crate::problem::{Kind, Problem};

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
    let head = head(&api, &group).await?;
    let known = match headers.get("last-event-id") {
        Some(value) => last_known(&api, &group, value.to_str().unwrap_or_default()).await?,
        None => head.revision,
    };
    let place = api.streams.clone().try_acquire_owned().map_err(|_| {
        Problem::new(Kind::Unavailable, "too many event streams are open; try again in a moment")
    })?;
    let (out, events) = mpsc::channel(BACKLOG);
    let draining = api.draining.subscribe();
    let follower = Follower {
        api,
        group,
        known,
        instances: BTreeMap::new(),
        convergence: None,
        draining,
        out,
    };
    tokio::spawn(async move {
        let _place = place;
        // Its end is the end of the stream; the client comes again.
        let _ = follower.run().await;
    });
    Ok(Sse::new(ReceiverStream::new(events).map(Ok::<_, std::convert::Infallible>))
        .keep_alive(KeepAlive::default())
        .into_response())
}

/// The last commit that a client was told of: its revision, as events have it, or its id.
async fn last_known(api: &Api, group: &GroupName, text: &str) -> Result<Revision, Problem> {
    if let Ok(revision) = text.parse() {
        return Ok(Revision(revision));
    }
    let refused = |detail: String| Problem::new(Kind::MalformedRequest, detail);
    let commit: CommitId = text.parse().map_err(|_| {
        refused("Last-Event-ID is the revision or the id of the last commit that was told".into())
    })?;
    let name = group.clone();
    let revision = api.store.read(move |repository| repository.revision(&name, commit)).await?;
    revision.ok_or_else(|| refused(format!("the group {group} has no commit {commit}")))
}

/// The task behind one stream; ends with the client, with the group, or with the server.
struct Follower {
    api: Api,
    group: GroupName,
    /// The last commit that the client knows.
    known: Revision,
    /// What it knows of the instances.
    instances: BTreeMap<String, Instance>,
    convergence: Option<Convergence>,
    draining: watch::Receiver<bool>,
    out: mpsc::Sender<Event>,
}

/// Why a follower ends.
struct Ended;

impl Follower {
    async fn run(mut self) -> Result<(), Ended> {
        let mut draining = self.api.draining.subscribe();
        // Before the first look, so that nothing falls in between.
        let mut heads = self.api.heads.subscribe();
        let mut wakes = self.api.fleet.wakes(&self.group);
        loop {
            self.tell().await?;
            tokio::select! {
                () = self.out.closed() => return Ok(()),
                _ = draining.wait_for(|draining| *draining) => return Ok(()),
                Ok(()) = heads.changed() => {}
                () = wakes.next() => {}
            }
        }
    }

    async fn tell(&mut self) -> Result<(), Ended> {
        let head = head(&self.api, &self.group).await.map_err(|_| Ended)?;
        while head.revision > self.known {
            let (group, known) = (self.group.clone(), self.known);
            let news = self.api.store.read(move |all| all.events_after(&group, known, PAGE));
            let news = news.await.map_err(|_| Ended)?;
            if news.is_empty() {
                break;
            }
            for commit in news {
                self.known = commit.revision;
                let event = Event::default().event("commit").id(commit.revision.to_string());
                self.send(event, &commit).await?;
            }
        }
        self.tell_instances().await?;
        let (now, draining) = (Instant::now(), self.draining.clone());
        let now = self.api.fleet.converge(&self.api.store, &head, now, draining).await;
        if self.convergence.as_ref() != Some(&now) {
            self.send(Event::default().event("convergence"), &now).await?;
            self.convergence = Some(now);
        }
        Ok(())
    }

    async fn tell_instances(&mut self) -> Result<(), Ended> {
        let now = self.api.fleet.instances(Some(&self.group));
        let mut before = std::mem::take(&mut self.instances);
        for instance in now {
            // That it was heard of again is no news.
            let same = before.remove(&instance.instance).is_some_and(|before| {
                before == Instance { last_seen: before.last_seen.clone(), ..instance.clone() }
            });
            if !same {
                self.send(Event::default().event("gateway"), &instance).await?;
            }
            self.instances.insert(instance.instance.clone(), instance);
        }
        for name in before.into_keys() {
            let gone = json!({"instance": name, "group": self.group, "state": "removed"});
            self.send(Event::default().event("gateway"), &gone).await?;
        }
        Ok(())
    }

    async fn send(&mut self, event: Event, data: &impl Serialize) -> Result<(), Ended> {
        let event = event.json_data(data).map_err(|_| Ended)?;
        tokio::select! {
            sent = timeout(EVENT_PATIENCE, self.out.send(event)) => match sent {
                Ok(Ok(())) => Ok(()),
                _ => Err(Ended),
            },
            _ = self.draining.wait_for(|draining| *draining) => Err(Ended),
        }
    }
}

/// The head of a group as something that instances come to serve.
async fn head(api: &Api, group: &GroupName) -> Result<Target, Problem> {
    let name = group.clone();
    let view = api.store.read(move |repository| repository.group(&name)).await?;
    Ok(Target { group: group.clone(), commit: view.head, revision: view.revision })
}

//! What is new, told to pages that are open: where each group is and how its gateways are.
//!
//! A page needs to know that something is another than it shows, not what: it asks for itself again.
//! So one kind of event is enough, and nothing is lost by one that was missed. The detailed stream,
//! for programs, is [`crate::http::events`]'s.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;

use super::Answer;
use super::page::{Visitor, harden};
use super::words::digest;
use crate::auth::TokenHash;
use crate::http::Api;
use crate::problem::{Kind, Problem};

/// How soon the state of an instance is told.
const LOOK: Duration = Duration::from_secs(2);
/// Events that wait for a slow browser.
const BACKLOG: usize = 4;

pub(super) async fn stream(State(api): State<Api>, visitor: Visitor) -> Answer {
    let place = api.streams.clone().try_acquire_owned();
    let place = place.map_err(|_| {
        Problem::new(Kind::Unavailable, "too many event streams are open; try again in a moment")
    })?;
    let (out, events) = mpsc::channel(BACKLOG);
    let token = visitor.session.token;
    tokio::spawn(async move {
        let _place = place;
        follow(api, token, out).await;
    });
    let stream = Sse::new(ReceiverStream::new(events).map_ok());
    let mut response = stream.keep_alive(KeepAlive::default()).into_response();
    harden(response.headers_mut());
    Ok(response)
}

/// A stream of what cannot fail.
trait Infallibly: Sized {
    fn map_ok(self) -> impl tokio_stream::Stream<Item = Result<Event, Infallible>>;
}

impl Infallibly for ReceiverStream<Event> {
    fn map_ok(self) -> impl tokio_stream::Stream<Item = Result<Event, Infallible>> {
        tokio_stream::StreamExt::map(self, Ok)
    }
}

/// Tells until the browser leaves, the server stops or the token is revoked.
async fn follow(api: Api, token: TokenHash, out: mpsc::Sender<Event>) {
    let mut draining = api.draining.subscribe();
    let mut heads = api.heads.subscribe();
    let mut clock = interval(LOOK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: Option<Value> = None;
    loop {
        let now = state(&api, &heads.borrow_and_update());
        if told.as_ref() != Some(&now) {
            let event = Event::default().event("state").id(digest(&now)).data(now.to_string());
            if out.send(event).await.is_err() {
                return;
            }
            told = Some(now);
        }
        tokio::select! {
            () = out.closed() => return,
            _ = draining.wait_for(|draining| *draining) => return,
            moved = heads.changed() => if moved.is_err() { return },
            _ = clock.tick() => {}
        }
        if api.door.holder(&token).is_none() {
            return;
        }
    }
}

/// What stands for where everything is now: a page says so of itself, and knows at the first event
/// whether something came in between.
pub(super) fn now(api: &Api) -> String {
    let heads = api.heads.subscribe().borrow().clone();
    digest(&state(api, &heads))
}

/// Where each group is, and how many of its gateways are healthy and serve it.
fn state(api: &Api, heads: &crate::heads::Commits) -> Value {
    let instances = api.fleet.instances(None);
    let groups: BTreeMap<String, Value> = heads
        .iter()
        .map(|(group, head)| {
            let of_group = instances.iter().filter(|one| one.group == *group);
            let of_group: Vec<Value> = of_group
                .map(|one| json!([one.instance, one.state, one.commit.map(|id| id.to_string())]))
                .collect();
            (group.to_string(), json!({"head": head, "instances": of_group}))
        })
        .collect();
    json!(groups)
}

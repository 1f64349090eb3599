//! Requests to nodes in HTTP/1 without TLS, and their answers.
//!
//! Pingora's own way is made for more than this: a queue of parts in each direction, a task for each
//! connection that rests, caches and modules. Here one loop waits for both sides and hands each
//! part on before it takes the next. What it does not do goes Pingora's way, and [`takes`] says so: nodes
//! that speak HTTP/2 or TLS, and connections that are upgraded.
//!
//! Next: [`super::steps`] for what happens to request and answer, [`crate::upstream::idle`] for the
//! connections.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::v1::client::HttpSession;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::exchange::Exchange;
use super::steps::{address, failed, was_refused};
use super::{Forwarder, framing, hop};
use crate::upstream::peer::Try;

/// How many parts of an answer that are there at once are written at once.
const MOST_AT_ONCE: usize = 4;

/// Whether the request goes this way.
pub(super) fn takes(session: &Session, ctx: &Exchange) -> bool {
    let upstream = ctx.candidate.as_ref().map(|candidate| &candidate.route.upstream);
    upstream.is_some_and(|upstream| upstream.plain) && !session.is_upgrade_req()
}

/// How far a try has come.
#[derive(Debug, Default)]
struct Progress {
    /// The node has the whole request, or takes no more of it.
    asked: bool,
    /// The client has the whole answer.
    answered: bool,
    /// The node has given the whole answer.
    ended: bool,
    /// The client's end of the connection has nothing more to tell.
    silent: bool,
    /// Why the node took no more of the request. It may have answered all the same.
    refused: Option<Box<Error>>,
}

impl Forwarder {
    /// Asks nodes until there is an answer, which the client gets.
    ///
    /// # Errors
    /// When the last try failed.
    pub(super) async fn relay(&self, session: &mut Session, ctx: &mut Exchange) -> Result<()> {
        loop {
            match self.relay_once(session, ctx).await {
                Err(error) if error.retry() => {}
                done => return done,
            }
        }
    }

    async fn relay_once(&self, session: &mut Session, ctx: &mut Exchange) -> Result<()> {
        let this = self.next_try(session, ctx).await?;
        let key = ctx.node()?.0.peer.key(this.address);
        let pooled = if this.fresh { None } else { self.idle.take(key) };
        let reused = pooled.is_some();
        let stream = match pooled {
            Some(stream) => stream,
            None => {
                let peer = this.peer(&ctx.node()?.0.peer);
                // In a box, as what is rare would make every request larger.
                let made = Box::pin(self.connector.new_stream(&*peer)).await;
                made.map_err(|error| was_refused(session, ctx, error.into_up()).into_up())?
            }
        };
        ctx.connected(stream.id(), reused)?;
        let mut node = HttpSession::new(stream);
        let progress = match self.exchange(session, ctx, &mut node, &this).await {
            Ok(progress) => progress,
            Err(error) => return Err(failed(session, ctx, error, reused)),
        };
        if this.keep && progress.ended && progress.refused.is_none() {
            node.respect_keepalive();
            if let Some(stream) = node.reuse().await {
                self.idle.put(key, stream, ctx.node()?.0.peer.idle_timeout());
            }
        }
        Ok(())
    }

    /// One try on an open connection.
    async fn exchange(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        node: &mut HttpSession,
        this: &Try,
    ) -> Result<Progress> {
        node.read_timeout = Some(this.times.read);
        node.write_timeout = Some(this.send_timeout());
        let has_body = !session.as_mut().is_body_empty();
        let mut request = hop::request(session.req_header(), |headers| {
            address(session, ctx, http::Version::HTTP_11, headers)?;
            framing::frame_request(headers, has_body);
            Ok(())
        })?;
        if let Some(target) = &ctx.target {
            request.set_raw_path(target.as_bytes())?;
        }
        node.write_request_header(Box::new(request)).await.map_err(Error::into_up)?;

        session.as_mut().enable_retry_buffering();
        let mut progress = Progress::default();
        let again = session.as_ref().get_retry_buffer();
        if again.is_some() || !has_body {
            let end = session.as_mut().is_body_done();
            self.pass_on(session, ctx, node, again, end, &mut progress).await?;
        }
        while !(progress.asked && progress.answered) {
            tokio::select! {
                task = node.read_response_task(), if !progress.ended && !progress.answered => {
                    self.hand_back(session, ctx, node, task, &mut progress).await?;
                }
                // Behind the request this waits for the client to go away.
                part = session.downstream_session.read_body_or_idle(progress.asked), if !progress.silent => {
                    let part = part.map_err(Error::into_down)?;
                    if progress.asked {
                        progress.silent = true;
                    } else {
                        let end = session.as_mut().is_body_done();
                        self.pass_on(session, ctx, node, part, end, &mut progress).await?;
                    }
                }
                else => break,
            }
        }
        if session.as_mut().finish_body().await.is_err() {
            session.set_keepalive(None);
        }
        Ok(progress)
    }

    /// Hands a part of the request's body to the node, or its end.
    async fn pass_on(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        node: &mut HttpSession,
        part: Option<Bytes>,
        end: bool,
        progress: &mut Progress,
    ) -> Result<()> {
        let end = end || part.is_none();
        self.body_came(session, ctx, part.as_ref(), end)?;
        let mut taken = Ok(None);
        // An empty part would be the last one, in chunks.
        if let Some(part) = part.filter(|part| !part.is_empty()) {
            taken = node.write_body(&part).await;
        }
        if end && taken.is_ok() {
            taken = node.finish_body().await;
        }
        progress.asked = end || taken.is_err();
        progress.refused = taken.err().map(Error::into_up);
        Ok(())
    }

    /// Hands a part of the answer to the client, and what is there behind it.
    async fn hand_back(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        node: &mut HttpSession,
        first: Result<HttpTask>,
        progress: &mut Progress,
    ) -> Result<()> {
        let mut parts = Vec::with_capacity(MOST_AT_ONCE);
        let mut next = Some(first);
        while let Some(part) = next.take() {
            // When a request was not taken, that it was not answered says less.
            let mut part = part.map_err(|error| progress.refused.take().unwrap_or(error).into_up());
            if let Ok(part) = &mut part {
                self.look_at(session, ctx, part)?;
            }
            let part = part.unwrap_or_else(HttpTask::Failed);
            progress.ended = part.is_end();
            parts.push(part);
            if !progress.ended && parts.len() < MOST_AT_ONCE {
                next = at_once(node.read_response_task()).await;
            }
        }
        let done = session.as_mut().response_duplex_vec(parts).await?;
        progress.answered = done || progress.ended;
        Ok(())
    }

    fn look_at(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        part: &mut HttpTask,
    ) -> Result<()> {
        match part {
            HttpTask::Header(answer, end) => {
                self.answer_came(session, ctx, answer)?;
                framing::frame_answer(session.req_header(), answer, *end)?;
                self.answer_goes(session, ctx, answer)
            }
            HttpTask::Body(_, end) => {
                self.answers(session, ctx, *end);
                Ok(())
            }
            HttpTask::UpgradedBody(..) => {
                Error::e_explain(ErrorType::InvalidHTTPHeader, "nobody asked for an upgrade")
            }
            HttpTask::Trailer(_) | HttpTask::Done | HttpTask::Failed(_) => Ok(()),
        }
    }
}

/// What comes of it without waiting.
async fn at_once<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

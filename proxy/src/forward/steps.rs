//! The steps of a request, whoever takes them: Pingora's hooks or [`super::relay`].
//!
//! In their order: [`Forwarder::accept`] finds the route or refuses; for each try
//! [`Forwarder::next_try`] finds a node, [`address`] writes what it is told,
//! [`Forwarder::answer_came`] and [`Forwarder::answer_goes`] look at its answer, [`was_refused`] and
//! [`failed`] decide whether there is another try; [`Forwarder::give_up`] tells the client that there
//! is none, and [`Forwarder::record`] keeps account.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::tls::SslDigest;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType, Result, RetryType};
use refgate_core::document::EncodedSlashes;

use super::client::Client;
use super::exchange::Exchange;
use super::target::Target;
use super::{Forwarder, client_stream, framing, hop};
use crate::gateway::reading::{Cut, Reading};
use crate::gateway::room;
use crate::gateway::tls;
use crate::request_id::{self, RequestId};
use crate::respond::{self, Refusal};
use crate::router::Routed;
use crate::router::method::RequestMethod;
use crate::router::predicate::Request;
use crate::upstream::PassHost;
use crate::upstream::balancer::Balancer;
use crate::upstream::peer::Try;
use crate::upstream::retry::{Failure, is_timeout};
use crate::upstream::tries::NoDestination;
use crate::upstream::upgrade::UpgradeConnect;

impl Forwarder {
    /// Takes a request in and finds its route, or why it is refused and what `Allow` says.
    pub(super) fn accept(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
    ) -> Result<(), (Refusal, Option<HeaderValue>)> {
        if let Some(stream) = client_stream(session) {
            stream.request_began(framing::length(session));
        }
        if session.req_header().version == Version::HTTP_2 {
            ctx.stream = Some(self.shared.streams.open());
            name_host(session);
        }
        let limits = &self.shared.limits;
        if session.get_keepalive().is_some() {
            // What the client asked for stands for "as long as you like" in Pingora.
            session.set_keepalive(Some(limits.idle_timeout.as_secs().max(1)));
        }
        session.set_read_timeout(Some(limits.transfer_timeout));
        session.set_write_timeout(Some(limits.transfer_timeout));
        session.set_total_drain_timeout(Some(limits.transfer_timeout));
        let has_body = !session.as_mut().is_body_empty();
        if has_body && let Some(reading) = Reading::of(session) {
            reading.pace(true);
        }
        session.set_pipelining_enabled(true);
        let id = RequestId::accept(&session.req_header().headers);
        ctx.id = id.unwrap_or_else(RequestId::generate);
        framing::ignore_stray_upgrade(session);
        let head = || match session.as_downstream() {
            ServerSession::H1(session) => Some(session.get_headers_raw_bytes()),
            _ => None,
        };
        if let Some(defect) = framing::defect(&session.req_header().headers, head) {
            session.set_keepalive(None);
            return Err((Refusal::BadRequest(defect), None));
        }
        route(session, ctx)?;
        if self.is_too_large(session.req_header()) {
            // What comes is not worth reading for the sake of the connection.
            session.set_keepalive(None);
            return Err((Refusal::PayloadTooLarge, None));
        }
        Ok(())
    }

    /// Whether a request says itself that its body is larger than it may be.
    fn is_too_large(&self, request: &RequestHeader) -> bool {
        let said = || {
            let length = request.headers.get(header::CONTENT_LENGTH)?;
            length.to_str().ok()?.parse::<u64>().ok()
        };
        self.shared.limits.body.is_some_and(|most| said().is_some_and(|length| length > most))
    }

    /// A part of the body came, or its end.
    ///
    /// # Errors
    /// When it is longer than bodies may be.
    pub(super) fn body_came(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        part: Option<&Bytes>,
        end: bool,
    ) -> Result<()> {
        if end && let Some(reading) = Reading::of(session) {
            reading.pace(false);
        }
        if session.was_upgraded() {
            // What two sides say to each other is no body.
            return Ok(());
        }
        ctx.received += part.map_or(0, |part| part.len() as u64);
        if self.shared.limits.body.is_some_and(|most| ctx.received > most) {
            ctx.refusal = Some(Refusal::PayloadTooLarge);
            let error = Error::explain(ErrorType::InvalidHTTPHeader, "the body is too large");
            return Err(error.into_down());
        }
        if end {
            self.unwatch(session, ctx);
        } else if ctx.received >= room::FROM {
            Self::watch(session, ctx);
        }
        Ok(())
    }

    /// Begins the next try: finds the node, which is `ctx.node()` from here on.
    ///
    /// # Errors
    /// When there is no node to try; `ctx.refusal` says what the client is told.
    pub(super) async fn next_try(&self, session: &mut Session, ctx: &mut Exchange) -> Result<Try> {
        let hash = ctx.hash;
        // Each try is shown the body from its beginning.
        ctx.received = 0;
        self.unwatch(session, ctx);
        ctx.tried.get_or_insert_with(Instant::now);
        let upgrade: Option<Arc<UpgradeConnect>> = session.is_upgrade_req().then(Arc::default);
        ctx.upgrade.clone_from(&upgrade);
        let (route, tries) = ctx.route()?;
        let next = tries.next(&route.upstream, hash).await;
        let retried = tries.retried();
        let deadline = tries.deadline();
        let destination = match next {
            Ok(destination) => destination,
            Err(error) => {
                ctx.refusal = Some(match error {
                    NoDestination::NoNode if retried == 0 => Refusal::NoHealthyUpstream,
                    NoDestination::Overloaded => Refusal::UpstreamOverloaded,
                    NoDestination::NoNode | NoDestination::Lookup(_) => Refusal::BadGateway,
                });
                let error = Error::because(ErrorType::ConnectError, "no node to try", error);
                return Err(error.into_up());
            }
        };
        let reading = Reading::of(session);
        if let (Some(deadline), Some(reading)) = (deadline, reading) {
            reading.arm(deadline);
        }
        let node = route.upstream.nodes.get(destination.node);
        let Some(node) = node else { return Error::e_explain(ErrorType::InternalError, "no node") };
        let request = session.req_header();
        if request.version == Version::HTTP_2
            && (route.upstream.http2 || node.peer.is_tls())
            && respond::is_grpc_call(&request.headers)
            && let Some(reading) = reading
        {
            // What such a client says may be a part of a conversation that lasts.
            reading.pace(false);
        }
        Ok(Try {
            address: destination.address,
            times: route.times,
            deadline,
            websocket: route.websocket,
            upgrade,
            fresh: destination.fresh,
            keep: destination.keep,
        })
    }

    /// The header of an answer came from the node.
    ///
    /// # Errors
    /// When it is no answer to the request, or makes another try.
    pub(super) fn answer_came(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        answer: &mut ResponseHeader,
    ) -> Result<()> {
        let status = answer.status.as_u16();
        if answer.status.is_informational() && status != 101 {
            return Ok(());
        }
        if status == 101 && !session.is_upgrade_req() {
            // RFC 9110 §7.8: a server switches to what it was asked for. What follows is no answer.
            let error = Error::explain(ErrorType::InvalidHTTPHeader, "nobody asked for an upgrade");
            return Err(error.into_up());
        }
        let idempotent = session.req_header().method.is_idempotent() && can_repeat(session);
        let (route, tries) = ctx.route()?;
        if tries.answered(&route.upstream, status, idempotent) {
            ctx.repeat = true;
            let context = format!("the node answered {status}");
            return Err(Error::explain(ErrorType::HTTPStatus(status), context).into_up());
        }
        if let Some(reading) = Reading::of(session) {
            reading.disarm();
        }
        ctx.answered = Some(Instant::now());
        if status == 101 {
            // From here on a client may listen as long as it likes; the node has the route's time.
            session.set_read_timeout(None);
            if let Some(reading) = Reading::of(session) {
                reading.pace(false);
            }
            ctx.connection = ctx.upgrade.take().and_then(|upgrade| upgrade.socket());
            Self::watch(session, ctx);
        }
        hop::clean_answer(answer);
        framing::mend_length(answer)?;
        let end = framing::has_no_body(session.req_header(), answer);
        self.answers(session, ctx, end);
        Ok(())
    }

    /// The header of an answer goes to the client.
    pub(super) fn answer_goes(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        answer: &mut ResponseHeader,
    ) -> Result<()> {
        if answer.status.is_informational() && answer.status.as_u16() != 101 {
            return Ok(());
        }
        answer.insert_header(request_id::TITLE, ctx.id.value().clone())?;
        if self.shared.is_draining() {
            session.set_keepalive(None);
        }
        Ok(())
    }

    /// Tells the client that its request failed, if it can still be told; gives the status.
    pub(super) async fn give_up(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        error: &Error,
    ) -> u16 {
        let refusal = ctx.refusal.or_else(|| refusal_for(error));
        self.unwatch(session, ctx);
        // Pingora closes the connection after a failure; the client should know.
        session.set_keepalive(None);
        match refusal {
            Some(refusal) if is_unanswered(session) => {
                // The client may have gone meanwhile; there is nobody else to tell.
                let _ = respond::refuse(session, refusal, None, &ctx.id).await;
                refusal.status().as_u16()
            }
            _ => 0,
        }
    }

    /// Counts and logs a request that is over.
    pub(super) fn record(&self, session: &Session, ctx: &mut Exchange, error: Option<&Error>) {
        let status = match session.response_written() {
            Some(answer) => answer.status.as_u16(),
            None => 0,
        };
        if let Some(stream) = client_stream(session) {
            stream.request_ended();
        }
        let metrics = &self.shared.metrics;
        let took = ctx.began.elapsed();
        match ctx.route() {
            Ok((route, tries)) => {
                route.counters.count(status, took);
                if tries.retried() > 0 {
                    metrics.retries.add(u64::from(tries.retried()));
                }
            }
            Err(_) => metrics.unrouted.count(status, took),
        }
        if let Some(log) = &self.shared.access_log {
            ctx.record(log, &self.shared.group, session, status, took);
        }
        ctx.log(session, status, error);
    }
}

/// Finds the route of a request, or why it is refused and what `Allow` says.
fn route(session: &Session, exchange: &mut Exchange) -> Result<(), (Refusal, Option<HeaderValue>)> {
    let request = session.req_header();
    let http = exchange.snapshot.http.as_ref();
    let slashes = http.map_or(EncodedSlashes::Reject, |http| http.encoded_slashes);
    let trusted = http.map_or(&[][..], |http| &http.trusted_proxies);
    let client = Client::find(peer(session), &request.headers, trusted);
    exchange.client = Some(client);
    let target =
        Target::read(request, slashes).map_err(|reason| (Refusal::BadRequest(reason), None))?;
    if let Some(authority) = exchange.snapshot.certificates.asked_for(&target.host)
        && !tls::has_proven(tls_digest(session), authority)
    {
        return Err((Refusal::MisdirectedRequest, None));
    }
    let asked = Request {
        host: &target.host,
        path: &target.path,
        query: target.query,
        method: RequestMethod::of(&request.method),
        headers: &request.headers,
        client: client.address,
    };
    match exchange.snapshot.router.find(&asked) {
        Routed::To(candidate) => {
            let route = &candidate.route;
            if let Balancer::ConsistentHash(on) = &route.upstream.balancer {
                exchange.hash = on.hash(&asked);
            }
            exchange.target = target.rewritten(&route.forwarded(&target.path));
            exchange.candidate = Some(Arc::clone(candidate));
            exchange.host = host_to_pass(request, &target);
            Ok(())
        }
        Routed::MethodNotAllowed(allowed) => Err((Refusal::MethodNotAllowed, allowed.allow())),
        Routed::NotFound => Err((Refusal::RouteNotFound, None)),
    }
}

/// Writes the authority of a request in HTTP/2 into `Host`, where routes look for what it says.
fn name_host(session: &mut Session) {
    let request = session.req_header_mut();
    if let Some(authority) = request.uri.authority()
        && !request.headers.contains_key(header::HOST)
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        // A value that is one has no fault that this could tell of.
        let _ = request.insert_header(header::HOST, host);
    }
}

/// The client's `Host`, or the authority that counts in its place.
fn host_to_pass(request: &RequestHeader, target: &Target<'_>) -> Option<HeaderValue> {
    let sent = request.headers.get(header::HOST);
    match (sent, target.authority) {
        (Some(sent), Some(authority)) if sent.as_bytes() == authority.as_bytes() => {
            Some(sent.clone())
        }
        (_, Some(authority)) => HeaderValue::from_str(authority).ok(),
        (_, None) => None,
    }
}

/// Writes what the node is told of client, host and connection into the fields of its request.
pub(super) fn address(
    session: &Session,
    ctx: &mut Exchange,
    version: Version,
    headers: &mut HeaderMap,
) -> Result<()> {
    let (client, id, host) = (ctx.client, ctx.id.clone(), ctx.host.clone());
    let (route, tries) = ctx.route()?;
    let current = tries.current(&route.upstream);
    let asked = session.req_header();
    if let Some(client) = client {
        let scheme = if tls_digest(session).is_some() { "https" } else { "http" };
        client.announce(headers, scheme, host.as_ref(), port(session));
    }
    let told = match (&route.upstream.host, &host) {
        (PassHost::Client, Some(host)) | (PassHost::Fixed(host), _) => Some(host),
        // A client too old to name a host: the node's is better than none.
        (PassHost::Client, None) | (PassHost::Node, _) => current.map(|(node, _)| &node.host),
    };
    if let Some(told) = told {
        headers.insert(header::HOST, told.clone());
    }
    headers.insert(request_id::NAME, id.value().clone());
    let upgrades = headers.contains_key(header::UPGRADE);
    if tries.is_last() && version == Version::HTTP_11 && !upgrades {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if route.upstream.http2 && hop::takes_trailers(asked) {
        hop::restore_trailers(headers);
    }
    if asked.version == Version::HTTP_2 {
        hop::join_cookies(headers);
    }
    Ok(())
}

/// The node could not be connected to: the error says whether there is another try.
pub(super) fn was_refused(
    session: &Session,
    ctx: &mut Exchange,
    mut error: Box<Error>,
) -> Box<Error> {
    let can_repeat = can_repeat(session);
    let again = match ctx.route() {
        Ok((route, tries)) => {
            tries.refused(&route.upstream, Failure::to_connect(&error)) && can_repeat
        }
        Err(_) => false,
    };
    error.retry = RetryType::Decided(again);
    error
}

/// A try failed on an open connection, a pooled one when `reused`: the error says whether there is
/// another.
pub(super) fn failed(
    session: &Session,
    ctx: &mut Exchange,
    mut error: Box<Error>,
    reused: bool,
) -> Box<Error> {
    let can_repeat = can_repeat(session);
    let idempotent = session.req_header().method.is_idempotent();
    let answered_with_status = std::mem::take(&mut ctx.repeat);
    let Ok((route, tries)) = ctx.route() else {
        error.retry = RetryType::Decided(false);
        return error;
    };
    if *error.esource() == ErrorSource::Downstream {
        match Reading::of(session).and_then(Reading::was_cut) {
            // The read from the client was made to fail, to end this try.
            Some(Cut::Late) => {
                error.esource = ErrorSource::Upstream;
                error.etype = ErrorType::ReadTimedout;
            }
            Some(Cut::Slow) => error.etype = ErrorType::ReadTimedout,
            Some(Cut::Full) => {
                error.esource = ErrorSource::Upstream;
                error.etype = ErrorType::WriteTimedout;
            }
            None => {}
        }
    }
    let again = if answered_with_status {
        true
    } else if *error.esource() == ErrorSource::Downstream || !can_repeat {
        false
    } else {
        // What Pingora marks has not been processed, whatever the method; on a pooled
        // connection that is only likely, which is enough for idempotent requests.
        let untouched = error.retry == RetryType::Decided(true);
        let dead = error.retry == RetryType::ReusedOnly && reused && idempotent;
        ((untouched || dead) && tries.was_dead())
            || tries.failed(&route.upstream, Failure::of(&error), idempotent)
    };
    error.retry = RetryType::Decided(again);
    error
}

/// What the client is told about a failure; nothing when it is gone.
fn refusal_for(error: &Error) -> Option<Refusal> {
    if *error.esource() == ErrorSource::Downstream {
        if *error.etype() == ErrorType::ReadTimedout {
            return Some(Refusal::RequestTimeout);
        }
        let is_gone = matches!(
            error.etype(),
            ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed
        );
        return (!is_gone).then_some(Refusal::BadRequest("the request cannot be read"));
    }
    Some(if is_timeout(error.etype()) { Refusal::GatewayTimeout } else { Refusal::BadGateway })
}

fn peer(session: &Session) -> IpAddr {
    match session.client_addr() {
        Some(SocketAddr::Inet(address)) => address.ip(),
        // No other kind of socket is listened on.
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    }
}

fn port(session: &Session) -> u16 {
    match session.server_addr() {
        Some(SocketAddr::Inet(address)) => address.port(),
        _ => 0,
    }
}

/// What is known about the client's TLS; nothing when it speaks without.
fn tls_digest(session: &Session) -> Option<&SslDigest> {
    session.digest()?.ssl_digest.as_deref()
}

/// Whether the client has seen nothing final of an answer.
fn is_unanswered(session: &Session) -> bool {
    session.response_written().is_none_or(|answer| answer.status.is_informational())
        && !session.was_upgraded()
}

/// Whether the request can be sent once more, whole.
fn can_repeat(session: &Session) -> bool {
    is_unanswered(session) && !session.retry_buffer_truncated()
}

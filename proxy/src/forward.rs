//! One request, from the client to a node and back: our side of Pingora's proxy.
//!
//! Each hook here is a few lines that call the part that knows; the state of a request between the
//! hooks is [`exchange::Exchange`]. Order of the hooks: `request_filter`, then for each try
//! `upstream_peer`, `upstream_request_filter`, `upstream_response_filter`, `response_filter`; at the
//! end `logging`, always. Failures go through `fail_to_connect` or `error_while_proxy`, where another
//! try is decided on, and end in `fail_to_proxy`.
//!
//! Next: [`target`] for what is asked for, [`framing`] for where it ends, [`client`] for who asks,
//! [`hop`] for fields of one connection, [`crate::respond`] for answers that we make.

mod client;
mod exchange;
mod framing;
mod hop;
mod target;
mod watch;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::tls::SslDigest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result, RetryType};
use refgate_core::document::EncodedSlashes;

use self::client::Client;
use self::exchange::Exchange;
use self::target::Target;
use crate::gateway::Shared;
use crate::gateway::client_stream::ClientStream;
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

/// Serves the requests of one gateway.
pub(crate) struct Forwarder {
    shared: Arc<Shared>,
}

impl Forwarder {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Finds the route of a request, or why it is refused and what `Allow` says.
    fn route(
        session: &Session,
        exchange: &mut Exchange,
    ) -> Result<(), (Refusal, Option<HeaderValue>)> {
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
                exchange.target = target.rewritten(route.forwarded(&target.path));
                exchange.candidate = Some(Arc::clone(candidate));
                exchange.host = host_to_pass(request, &target);
                Ok(())
            }
            Routed::MethodNotAllowed(allowed) => Err((Refusal::MethodNotAllowed, allowed.allow())),
            Routed::NotFound => Err((Refusal::RouteNotFound, None)),
        }
    }
}

impl Forwarder {
    /// Whether a request says itself that its body is larger than it may be.
    fn is_too_large(&self, request: &RequestHeader) -> bool {
        let said = || {
            let length = request.headers.get(header::CONTENT_LENGTH)?;
            length.to_str().ok()?.parse::<u64>().ok()
        };
        self.shared.limits.body.is_some_and(|most| said().is_some_and(|length| length > most))
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

fn client_stream(session: &Session) -> Option<&ClientStream> {
    ClientStream::of(session.stream())
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

#[async_trait]
impl ProxyHttp for Forwarder {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        Exchange::new(self.shared.snapshot.load_full())
    }

    /// None: the default set compresses answers, switched off, at a cost to every request.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Exchange) -> Result<bool> {
        if let Some(stream) = client_stream(session) {
            stream.request_began(framing::length(session));
        }
        if session.req_header().version == Version::HTTP_2 {
            ctx.stream = Some(self.shared.streams.open());
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
            respond::refuse(session, Refusal::BadRequest(defect), None, &ctx.id).await?;
            return Ok(true);
        }
        let routed = match Self::route(session, ctx) {
            Ok(()) if self.is_too_large(session.req_header()) => {
                Err((Refusal::PayloadTooLarge, None))
            }
            routed => routed,
        };
        match routed {
            Ok(()) => Ok(false),
            Err((refusal, allow)) => {
                if refusal == Refusal::PayloadTooLarge {
                    // What comes is not worth reading for the sake of the connection.
                    session.set_keepalive(None);
                }
                respond::refuse(session, refusal, allow, &ctx.id).await?;
                Ok(true)
            }
        }
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Exchange,
    ) -> Result<()> {
        if end_of_stream && let Some(reading) = Reading::of(session) {
            reading.pace(false);
        }
        if session.was_upgraded() {
            // What two sides say to each other is no body.
            return Ok(());
        }
        ctx.received += body.as_ref().map_or(0, |part| part.len() as u64);
        if self.shared.limits.body.is_some_and(|most| ctx.received > most) {
            ctx.refusal = Some(Refusal::PayloadTooLarge);
            let error = Error::explain(ErrorType::InvalidHTTPHeader, "the body is too large");
            return Err(error.into_down());
        }
        if end_of_stream {
            self.unwatch(session, ctx);
        } else if ctx.received >= room::FROM {
            Self::watch(session, ctx);
        }
        Ok(())
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
    ) -> Result<Box<HttpPeer>> {
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
        let this = Try {
            address: destination.address,
            times: route.times,
            deadline,
            websocket: route.websocket,
            upgrade,
            fresh: destination.fresh,
            keep: destination.keep,
        };
        Ok(this.peer(&node.peer))
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        connection: i32,
        _digest: Option<&Digest>,
        ctx: &mut Exchange,
    ) -> Result<()> {
        let (route, tries) = ctx.route()?;
        tries.connected(&route.upstream, connection, reused);
        ctx.connection = Some(connection);
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Exchange,
    ) -> Result<()> {
        let port = port(session);
        let (client, id) = (ctx.client, ctx.id.clone());
        let (host, target) = (ctx.host.clone(), ctx.target.take());
        let upgrades = ctx.upgrade.is_some();
        let (route, tries) = ctx.route()?;
        if route.upstream.http2 && request.version != Version::HTTP_2 && !upgrades {
            // By TLS the two sides agreed on something else, or on nothing.
            let error = Error::explain(ErrorType::H2Error, "the node does not speak HTTP/2");
            return Err(error.into_up());
        }
        let current = tries.current(&route.upstream);
        let asked = session.req_header();
        hop::edit(request, |version, headers| {
            if let Some(client) = client {
                let scheme = if tls_digest(session).is_some() { "https" } else { "http" };
                client.announce(headers, scheme, host.as_ref(), port);
            }
            let told = match (&route.upstream.host, &host) {
                (PassHost::Client, Some(host)) | (PassHost::Fixed(host), _) => Some(host),
                // A client too old to name a host: the node's is better than none.
                (PassHost::Client, None) | (PassHost::Node, _) => {
                    current.map(|(node, _)| &node.host)
                }
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
        });
        if let Some(target) = &target {
            request.set_raw_path(target.as_bytes())?;
        }
        ctx.target = target;
        // In HTTP/2 Pingora takes the answer while it waits.
        let is_http1 = request.version == Version::HTTP_11 && ctx.upgrade.is_none();
        ctx.connection = ctx.connection.filter(|_| is_http1);
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        ctx: &mut Exchange,
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

    fn response_body_filter(
        &self,
        session: &mut Session,
        _body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Exchange,
    ) -> Result<Option<Duration>> {
        self.answers(session, ctx, end_of_stream);
        Ok(None)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        ctx: &mut Exchange,
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

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Exchange,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let can_repeat = can_repeat(session);
        let again = match ctx.route() {
            Ok((route, tries)) => tries.refused(&route.upstream) && can_repeat,
            Err(_) => false,
        };
        error.retry = RetryType::Decided(again);
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Exchange,
        client_reused: bool,
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
            let dead = error.retry == RetryType::ReusedOnly && client_reused && idempotent;
            ((untouched || dead) && tries.was_dead())
                || tries.failed(&route.upstream, Failure::of(&error), idempotent)
        };
        error.retry = RetryType::Decided(again);
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Exchange,
    ) -> FailToProxy {
        let refusal = ctx.refusal.or_else(|| refusal_for(error));
        self.unwatch(session, ctx);
        // Pingora closes the connection after a failure; the client should know.
        session.set_keepalive(None);
        let error_code = match refusal {
            Some(refusal) if is_unanswered(session) => {
                // The client may have gone meanwhile; there is nobody else to tell.
                let _ = respond::refuse(session, refusal, None, &ctx.id).await;
                refusal.status().as_u16()
            }
            _ => 0,
        };
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Exchange) {
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

    /// [`Exchange::log`] tells of errors, with more than Pingora knows.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Exchange, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Exchange,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }
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

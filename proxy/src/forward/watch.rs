//! When the room in the socket of a node is watched, so that a client's body is read as the node takes it.
//!
//! From the part on with which the body is long, to the end of body or answer: behind either there is
//! only one way, and nobody can wait for the other.
//!
//! Next: [`crate::gateway::room`] for how, and why.

use pingora::proxy::Session;

use super::exchange::Exchange;
use super::{Forwarder, client_stream};
use crate::gateway::reading::Reading;
use crate::gateway::room::Room;

impl Forwarder {
    /// From here on what the client sends is read as the node has room for it.
    pub(super) fn watch(session: &mut Session, ctx: &mut Exchange) {
        let Some(connection) = ctx.connection.take() else { return };
        let answers = ctx.answered.is_some();
        let Ok((route, _)) = ctx.route() else { return };
        let patience = route.times.send;
        match (Room::new(connection, patience, answers), Reading::of(session)) {
            (Ok(room), Some(reading)) => {
                reading.watch(room);
                ctx.watched = true;
            }
            (Err(error), _) => {
                tracing::debug!(%error, "cannot watch the room in the socket of a node");
                return;
            }
            (_, None) => return,
        }
        if client_stream(session).is_some() {
            // It knows how long the client may pause; Pingora would count the node's pauses as well.
            session.set_read_timeout(None);
        }
    }

    /// Takes back [`Self::watch`].
    pub(super) fn unwatch(&self, session: &mut Session, ctx: &mut Exchange) {
        ctx.connection = None;
        if std::mem::take(&mut ctx.watched) && Reading::of(session).is_some_and(Reading::unwatch) {
            session.set_read_timeout(Some(self.shared.limits.transfer_timeout));
        }
    }

    /// The node goes on with its answer, or has come to the end of it.
    pub(super) fn answers(&self, session: &mut Session, ctx: &mut Exchange, end: bool) {
        if end {
            self.unwatch(session, ctx);
        } else if ctx.watched
            && let Some(reading) = Reading::of(session)
        {
            reading.answers();
        }
    }
}

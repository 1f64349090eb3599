//! How much the control plane takes and how long it waits: every limit of the HTTP API, once.
//!
//! Whoever enforces a limit takes it from here; the table in `docs/api.md` is held to it by a test. Limits
//! on what documents say are the core's: [`refgate_core::limits`].

use std::time::Duration;

/// Items of a page when nothing is said.
pub(crate) const PAGE_DEFAULT: usize = 100;
/// Items of a page.
pub(crate) const PAGE: usize = 1000;
/// Seconds that a write waits for its convergence.
pub(crate) const WAIT_SECONDS: f64 = 300.0;
/// Bytes of a body that holds one document or one command.
pub(crate) const DOCUMENT_BYTES: usize = 1 << 20;
/// Bytes of a body that holds many files.
pub(crate) const BUNDLE_BYTES: usize = 8 << 20;
/// Time for a body to arrive.
pub(crate) const BODY_ARRIVAL: Duration = Duration::from_secs(30);
/// Time for the head of a request to arrive.
pub(crate) const HEAD_ARRIVAL: Duration = Duration::from_secs(30);
/// Connections at one time; further ones wait in the backlog of the operating system.
pub(crate) const CONNECTIONS: usize = 1024;
/// Time that a request stands in the queue for the repository.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Gateway instances of other processes.
pub(crate) const INSTANCES: usize = 4096;
/// Snapshots that are waited for or sent at one time.
pub(crate) const SNAPSHOTS: usize = 512;
/// Event streams at one time.
pub(crate) const EVENT_STREAMS: usize = 256;
/// Time that a client of an event stream may take for what waits for it.
pub(crate) const EVENT_PATIENCE: Duration = Duration::from_secs(60);
/// Requests in each queue for the repository, of reads and of writes.
pub(crate) const QUEUE: usize = 512;

#[cfg(test)]
mod tests {
    use refgate_core::store::MAX_PUSH_BYTES;

    use super::*;

    /// The table in `docs/api.md`: what, at most, beyond it.
    fn table() -> String {
        let large = "413 `payload_too_large`";
        let busy = "503 `unavailable`, with `Retry-After`";
        let mib = |bytes: usize| format!("{} MiB", bytes >> 20);
        let time = |time: Duration| format!("{} s", time.as_secs());
        let push = usize::try_from(MAX_PUSH_BYTES).expect("fits");
        let rows = [
            ("items of a page", PAGE.to_string(), "`next` leads on"),
            (
                "items of a page when `limit` is not given",
                PAGE_DEFAULT.to_string(),
                "`next` leads on",
            ),
            ("`wait`", format!("{WAIT_SECONDS} s"), "400 `malformed_request`"),
            ("a body with one document or command", mib(DOCUMENT_BYTES), large),
            ("the body of `commit` and `validate`", mib(BUNDLE_BYTES), large),
            ("a push", mib(push), "413, or git says why; `receive.maxInputSize` sets it"),
            ("time for the head of a request", time(HEAD_ARRIVAL), "the connection is closed"),
            ("time for a body", time(BODY_ARRIVAL), "400 `malformed_request`"),
            ("connections at one time", CONNECTIONS.to_string(), "further ones wait"),
            ("gateway instances of other processes", INSTANCES.to_string(), busy),
            ("snapshots waited for or sent at one time", SNAPSHOTS.to_string(), busy),
            ("event streams at one time", EVENT_STREAMS.to_string(), busy),
            (
                "time for a client of events to take what waits",
                time(EVENT_PATIENCE),
                "the stream ends",
            ),
            ("requests in the queue of reads, and of writes", QUEUE.to_string(), busy),
            ("time in such a queue", time(PATIENCE), busy),
        ];
        let rows = rows.map(|(what, most, over)| format!("| {what} | {most} | {over} |\n"));
        format!("| what | at most | beyond it |\n|---|---|---|\n{}", rows.concat())
    }

    #[test]
    fn documented() {
        let document = include_str!("../../docs/api.md");
        let table = table();
        assert!(document.contains(&table), "docs/api.md should say, under Limits:\n{table}");
    }
}

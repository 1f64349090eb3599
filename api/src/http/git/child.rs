//! One git process and the client on the other side: bytes go both ways as they come, and whatever
//! happens to one of the two, the other hears of it.
//!
//! A task of its own looks after each process. It ends with the process, and the process ends when
//! it is done, when the client has left, when nothing has moved for too long, when it takes too
//! long as a whole, or when the server has no more time.

use std::io;
use std::pin::{Pin, pin};
use std::process::{Command, ExitStatus};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use refgate_core::store::GitService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::Stream;
use tracing::Instrument as _;

use super::body::{BodyError, RequestBody};
use super::places::Place;
use super::process::Running;
use crate::metrics::{GitEnd, Metrics};
use crate::problem::{Kind, Problem};

/// What is read from git at once.
const CHUNK: usize = 64 << 10;
/// Chunks that wait for a slow client; git waits when there are more.
const QUEUE: usize = 2;
/// A request of which nothing moved for this long, in either direction, is given up.
const IDLE: Duration = Duration::from_secs(60);
/// The longest that one request may take.
const TOTAL: Duration = Duration::from_secs(1800);
/// How long a push may take to end by itself once nothing more comes from its client. A git that a
/// signal ends leaves what it has received so far behind; one that finds the end of a pack too early
/// removes it, refuses and ends at once.
const WIND_DOWN: Duration = Duration::from_secs(10);
/// The same when the server itself is at its end.
const LAST_WIND_DOWN: Duration = Duration::from_secs(1);
/// How long the last complaints of a git that has ended are waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How much of what git says of its troubles is kept.
const COMPLAINT: usize = 4 << 10;
/// How much of a request that git no longer reads is taken from the client: one that is still
/// sending when its connection closes never sees the answer.
const DROPPED: u64 = 64 << 20;
/// How long that may go on after git's last word.
const LEFTOVER: Duration = Duration::from_secs(5);

/// What is to be done.
pub(super) struct Errand {
    pub(super) service: GitService,
    pub(super) command: Command,
    /// What git reads; nothing for an advertisement.
    pub(super) body: Option<RequestBody>,
    pub(super) place: Place,
    /// Turns true when the server has no more time.
    pub(super) cut_off: watch::Receiver<bool>,
    pub(super) metrics: Metrics,
    /// Done when git has ended, whatever came of it.
    pub(super) afterwards: Box<dyn FnOnce() + Send>,
}

/// How it ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("done")]
    Done,
    #[error("git ended with {0}")]
    Failed(ExitStatus),
    #[error("the client left")]
    Left,
    #[error("nothing moved for {} s", IDLE.as_secs())]
    Idle,
    #[error("it took longer than {} s", TOTAL.as_secs())]
    TooLong,
    #[error("the server stops")]
    CutOff,
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("git cannot be talked to: {0}")]
    Io(#[from] io::Error),
}

impl End {
    fn counted(&self) -> GitEnd {
        match self {
            Self::Done => GitEnd::Done,
            Self::Failed(_) | Self::Io(_) => GitEnd::Failed,
            Self::Left | Self::Body(BodyError::BrokenOff(_)) => GitEnd::Left,
            Self::Body(_) => GitEnd::Refused,
            Self::Idle | Self::TooLong | Self::CutOff => GitEnd::Stopped,
        }
    }

    /// Whether the answer is whole as far as git is concerned.
    fn is_gits(&self) -> bool {
        matches!(self, Self::Done | Self::Failed(_))
    }

    /// What a client is told that has seen nothing of an answer yet.
    fn problem(&self) -> Problem {
        let kind = match self {
            Self::Failed(_) => {
                let detail = "git could not make sense of the request; the log has more";
                return Problem::new(Kind::MalformedRequest, detail);
            }
            Self::Body(BodyError::TooLarge(_)) => Kind::PayloadTooLarge,
            Self::CutOff => Kind::Unavailable,
            Self::Io(error) => return Problem::internal(error),
            _ => Kind::MalformedRequest,
        };
        Problem::new(kind, self.to_string())
    }
}

/// Starts git; gives its answer as soon as it begins.
pub(super) async fn run(errand: Errand) -> Result<Answer, Problem> {
    let Errand { service, command, body, place, cut_off, metrics, afterwards } = errand;
    let started = Running::start(command, body.is_some());
    let mut running = started.map_err(|error| Problem::internal(&error))?;
    let (out, mut chunks) = mpsc::channel(QUEUE);
    let (tell, mut told) = oneshot::channel();
    let look_after = async move {
        let _place = place;
        let counts = Counts::default();
        let complaints = tokio::spawn(listen(running.child.stderr.take()));
        let end = attend(service, &mut running, body, &out, cut_off, &counts).await;
        let said =
            timeout(LAST_WORDS, complaints).await.ok().and_then(Result::ok).unwrap_or_default();
        let (received, sent) = counts.get();
        let name = service.name();
        match end.counted() {
            GitEnd::Done | GitEnd::Left => {
                tracing::debug!(service = name, %end, said = ?said, received, sent, "git ended");
            }
            _ => tracing::warn!(service = name, %end, said = ?said, received, sent, "git ended"),
        }
        metrics.git(name, end.counted(), received, sent);
        afterwards();
        // Nobody listens when the client has left.
        let _ = tell.send(end);
    };
    tokio::spawn(look_after.in_current_span());
    match chunks.recv().await {
        Some(first) => Ok(Answer { first: Some(first), chunks, told: Some(told) }),
        None => match (&mut told).await {
            Ok(End::Done) => Ok(Answer { first: None, chunks, told: None }),
            Ok(end) => Err(end.problem()),
            Err(lost) => Err(Problem::internal(&lost)),
        },
    }
}

/// What git answers, chunk by chunk. An answer that is not whole ends with an error, so that
/// nobody takes it for one.
pub(super) struct Answer {
    first: Option<Bytes>,
    chunks: mpsc::Receiver<Bytes>,
    told: Option<oneshot::Receiver<End>>,
}

impl Stream for Answer {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if let Some(chunk) = ready!(this.chunks.poll_recv(context)) {
            return Poll::Ready(Some(Ok(chunk)));
        }
        let Some(told) = &mut this.told else { return Poll::Ready(None) };
        let end = ready!(Pin::new(told).poll(context));
        this.told = None;
        Poll::Ready(match end {
            Ok(end) if end.is_gits() => None,
            Ok(end) => Some(Err(io::Error::other(end))),
            Err(lost) => Some(Err(io::Error::other(lost))),
        })
    }
}

/// Bytes from and to the client.
#[derive(Debug, Default)]
struct Counts(Mutex<(u64, u64)>);

impl Counts {
    fn received(&self, bytes: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = bytes;
    }

    fn sent(&self, bytes: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 += bytes as u64;
    }

    fn get(&self) -> (u64, u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries bytes until one of the two is done, or something else ends it; git has ended then.
async fn attend(
    service: GitService,
    running: &mut Running,
    body: Option<RequestBody>,
    out: &mpsc::Sender<Bytes>,
    mut cut_off: watch::Receiver<bool>,
    counts: &Counts,
) -> End {
    let pulse = Pulse::new();
    let (stdin, mut stdout) = (running.child.stdin.take(), running.child.stdout.take());
    let carry = async {
        let mut fed = pin!(feed(stdin, body, &pulse, counts));
        let mut spoken = pin!(speak(stdout.as_mut(), out, &pulse, counts));
        tokio::select! {
            fed = &mut fed => {
                fed?;
                spoken.await?;
            }
            spoken = &mut spoken => {
                spoken?;
                // git has said all, whatever the client still wanted to say.
                let _ = timeout(LEFTOVER, fed).await;
            }
        }
        Ok(running.ended().await?)
    };
    let ended = tokio::select! {
        ended = carry => ended,
        () = out.closed() => Err(End::Left),
        end = pulse.stopped(IDLE, TOTAL) => Err(end),
        _ = cut_off.wait_for(|cut_off| *cut_off) => Err(End::CutOff),
    };
    // From here on nothing more comes for git.
    match ended {
        Ok(status) if status.success() => End::Done,
        Ok(status) => End::Failed(status),
        Err(end) => {
            let patience = match (service, &end) {
                // Nothing is begun that would have to be undone.
                (GitService::UploadPack, _) => Duration::ZERO,
                (GitService::ReceivePack, End::CutOff) => LAST_WIND_DOWN,
                (GitService::ReceivePack, _) => WIND_DOWN,
            };
            running.stop(stdout, patience).await;
            end
        }
    }
}

/// Gives git what the client sends.
async fn feed(
    stdin: Option<ChildStdin>,
    body: Option<RequestBody>,
    pulse: &Pulse,
    counts: &Counts,
) -> Result<(), End> {
    let (Some(mut stdin), Some(mut body)) = (stdin, body) else { return Ok(()) };
    let fed = async {
        while let Some(piece) = body.next().await? {
            pulse.beat();
            counts.received(body.read());
            stdin.write_all(&piece).await?;
            pulse.beat();
        }
        Ok(())
    };
    match fed.await {
        // It has read enough: its answer says why.
        Err(End::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(End::Body(error @ BodyError::TooLarge(_))) => {
            body.drop_rest(DROPPED).await;
            return Err(error.into());
        }
        ended => return ended,
    }
    drop(stdin);
    body.drop_rest(DROPPED).await;
    Ok(())
}

/// Gives the client what git says.
async fn speak(
    stdout: Option<&mut ChildStdout>,
    out: &mpsc::Sender<Bytes>,
    pulse: &Pulse,
    counts: &Counts,
) -> Result<(), End> {
    let Some(stdout) = stdout else { return Ok(()) };
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        let length = stdout.read_buf(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        pulse.beat();
        counts.sent(length);
        out.send(chunk.into()).await.map_err(|_| End::Left)?;
        pulse.beat();
    }
}

/// The beginning of what git says of its troubles; it is read to its end, so that git never waits
/// for that.
async fn listen(stderr: Option<ChildStderr>) -> String {
    let Some(mut stderr) = stderr else { return String::new() };
    let (mut kept, mut chunk) = (Vec::new(), [0; 1 << 10]);
    while let Ok(length @ 1..) = stderr.read(&mut chunk).await {
        let room = COMPLAINT.saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..length.min(room)]);
    }
    String::from_utf8_lossy(&kept).trim_end().to_owned()
}

/// When something moved last.
struct Pulse {
    began: Instant,
    last: Mutex<Instant>,
}

impl Pulse {
    fn new() -> Self {
        let now = Instant::now();
        Self { began: now, last: Mutex::new(now) }
    }

    fn beat(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns when it has stood still for too long, or lasted too long.
    async fn stopped(&self, idle: Duration, total: Duration) -> End {
        let end = self.began + total;
        loop {
            let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let still = last + idle;
            let now = Instant::now();
            match () {
                () if now >= end => return End::TooLong,
                () if now >= still => return End::Idle,
                () => sleep_until(still.min(end)).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn standing_still_and_lasting_too_long_are_told_apart() {
        let (short, long) = (Duration::from_millis(20), Duration::from_secs(3600));
        assert!(matches!(Pulse::new().stopped(short, long).await, End::Idle));
        assert!(matches!(Pulse::new().stopped(long, short).await, End::TooLong));
        // Whatever moves again and again has a bound, too.
        let pulse = Pulse::new();
        let beats = async {
            loop {
                pulse.beat();
                tokio::task::yield_now().await;
            }
        };
        let end = tokio::select! {
            end = pulse.stopped(short, short * 5) => end,
            () = beats => End::Done,
        };
        assert!(matches!(end, End::TooLong), "{end}");
        assert!(pulse.began.elapsed() >= short * 5);
    }
}

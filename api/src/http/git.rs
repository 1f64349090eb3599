//! git's smart protocol: clone, fetch and push of the configuration repository.
//!
//! Three endpoints, of which each starts one git process for one request and carries bytes between
//! it and the client; nothing else of the repository is to be had. What git is started with is the
//! business of `refgate_core::store`, how it lives and dies of [`child`], what a push may change of
//! the hooks of the repository. Who may ask is decided by [`super::edge`] as for every endpoint.

mod body;
mod child;
mod places;
mod process;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use refgate_core::store::{GitError, GitProtocol, GitService, GitStage, GitTransport};
use tokio::sync::{OnceCell, watch};
use tokio::time::timeout;
use tokio_stream::StreamExt as _;

use self::body::RequestBody;
use self::child::Errand;
use self::places::{Place, Places};
use super::edge::RequestId;
use super::params::{NoParams, Params};
use super::{Answer, Api};
use crate::auth::{Principal, Role};
use crate::problem::{Kind, Problem};

/// Where the repository is.
pub(super) const ROOT: &str = "/config.git";
/// What there is, and what can be asked for.
pub(super) const INFO_REFS: &str = "/config.git/info/refs";
/// Clone and fetch.
pub(super) const UPLOAD_PACK: &str = "/config.git/git-upload-pack";
/// Push.
pub(super) const RECEIVE_PACK: &str = "/config.git/git-receive-pack";

/// Clones and fetches at one time, and how many more wait.
const FETCHES: (u32, u32) = (8, 64);
/// Pushes at one time, and how many more wait. They write to one disk: more are not faster.
const PUSHES: (u32, u32) = (4, 64);
/// The largest request of a fetch: it names commits, and not many.
const MAX_FETCH_BYTES: u64 = 16 << 20;
/// What a push has besides its pack: names of refs, options.
const MAX_COMMAND_BYTES: u64 = 1 << 20;
/// How long git may take to end after the server has stopped to wait for it.
const LAST_GRACE: Duration = Duration::from_secs(3);

/// What the endpoints of git share.
#[derive(Debug)]
pub(super) struct Git {
    /// Made with the first request: without git, everything else works.
    transport: OnceCell<GitTransport>,
    fetches: Places,
    pushes: Places,
    cut_off: watch::Sender<bool>,
}

impl Default for Git {
    fn default() -> Self {
        Self {
            transport: OnceCell::new(),
            fetches: Places::new(FETCHES.0, FETCHES.1),
            pushes: Places::new(PUSHES.0, PUSHES.1),
            cut_off: watch::Sender::new(false),
        }
    }
}

impl Git {
    /// Ends what runs; returns when it has ended, or soon.
    pub(super) async fn cut_off(&self) {
        self.cut_off.send_replace(true);
        let ended = async {
            self.fetches.empty().await;
            self.pushes.empty().await;
        };
        if timeout(LAST_GRACE, ended).await.is_err() {
            tracing::warn!("a git process does not end");
        }
    }

    async fn place(&self, service: GitService) -> Result<Place, Problem> {
        match service {
            GitService::UploadPack => self.fetches.take().await,
            GitService::ReceivePack => self.pushes.take().await,
        }
    }

    async fn transport(&self, repository: PathBuf) -> Result<GitTransport, Problem> {
        let make = || blocking(move || GitTransport::new(&repository));
        self.transport.get_or_try_init(make).await.cloned()
    }
}

/// Whether a path belongs to the repository, so that a git client reads what is answered.
pub(super) fn owns(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a request to the repository needs: pushing, and asking what could be pushed to, is writing.
pub(super) fn role_needed(uri: &Uri) -> Role {
    let pushes = || {
        let query = Query::<Vec<(String, String)>>::try_from_uri(uri);
        query.is_ok_and(|Query(pairs)| pairs.iter().any(|(_, value)| value == "git-receive-pack"))
    };
    if uri.path() == RECEIVE_PACK || pushes() { Role::Editor } else { Role::Viewer }
}

/// Who asks, under which id, in which version of the protocol.
struct Caller {
    principal: Principal,
    request_id: RequestId,
    protocol: GitProtocol,
}

pub(super) async fn advertise(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Extension(request_id): Extension<RequestId>,
    mut params: Params,
    headers: HeaderMap,
) -> Answer {
    let service = params.text("service")?;
    params.finish()?;
    let service = service.as_deref().and_then(GitService::named).ok_or_else(|| {
        let detail = "only git's smart protocol is spoken here, for clone, fetch and push";
        Problem::new(Kind::Forbidden, detail)
    })?;
    let caller = Caller { principal, request_id, protocol: protocol(&headers) };
    let mut answer =
        Begun::new(&api, service, &caller, GitStage::Advertise).await?.run(None).await?;
    // The second version begins with a line of its own; a push is never spoken in it.
    if caller.protocol != GitProtocol::V2 || service == GitService::ReceivePack {
        let line = format!("# service=git-{}\n", service.name());
        let line = format!("{:04x}{line}0000", line.len() + 4);
        answer =
            Body::from_stream(tokio_stream::once(Ok(line.into())).chain(answer.into_data_stream()));
    }
    Ok(respond(answer, &format!("application/x-git-{}-advertisement", service.name())))
}

pub(super) async fn upload_pack(
    state: State<Api>,
    principal: Extension<Principal>,
    request_id: Extension<RequestId>,
    _: NoParams,
    request: Request,
) -> Answer {
    serve(state, principal, request_id, request, GitService::UploadPack).await
}

pub(super) async fn receive_pack(
    state: State<Api>,
    principal: Extension<Principal>,
    request_id: Extension<RequestId>,
    _: NoParams,
    request: Request,
) -> Answer {
    serve(state, principal, request_id, request, GitService::ReceivePack).await
}

async fn serve(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Extension(request_id): Extension<RequestId>,
    request: Request,
    service: GitService,
) -> Answer {
    let name = service.name();
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if media != Some(&*format!("application/x-git-{name}-request")) {
        let detail = format!("only a git client has something to say to git-{name}");
        return Err(Problem::new(Kind::UnsupportedMediaType, detail));
    }
    let caller = Caller { principal, request_id, protocol: protocol(request.headers()) };
    let begun = Begun::new(&api, service, &caller, GitStage::Answer).await?;
    let limit = match service {
        GitService::UploadPack => MAX_FETCH_BYTES,
        // git's own limit is for the pack and told in git's words: it comes first.
        GitService::ReceivePack => begun.max_push_bytes.saturating_add(MAX_COMMAND_BYTES),
    };
    let (parts, body) = request.into_parts();
    let body = RequestBody::new(&parts.headers, body, limit)?;
    let answer = begun.run(Some(body)).await?;
    Ok(respond(answer, &format!("application/x-git-{name}-result")))
}

/// A git process that has its place and is about to be started.
struct Begun<'a> {
    api: &'a Api,
    service: GitService,
    stage: GitStage,
    command: Command,
    place: Place,
    max_push_bytes: u64,
}

impl<'a> Begun<'a> {
    async fn new(
        api: &'a Api,
        service: GitService,
        caller: &Caller,
        stage: GitStage,
    ) -> Result<Self, Problem> {
        let transport = api.git.transport(api.store.path().to_owned()).await?;
        let place = api.git.place(service).await?;
        let protocol = caller.protocol;
        let made = blocking(move || {
            let max_push_bytes = transport.max_push_bytes()?;
            Ok((transport.command(service, stage, protocol, max_push_bytes), max_push_bytes))
        });
        let (mut command, max_push_bytes) = made.await?;
        if service == GitService::ReceivePack {
            command
                .env("REFGATE_PUSHER", &caller.principal.name)
                .env("REFGATE_PUSHER_ROLE", caller.principal.role.as_str())
                .env("REFGATE_REQUEST_ID", &*caller.request_id.0)
                .env("REFGATE_HOOK_TOKEN", api.door.hook_token().reveal());
            if let Some(server) = &api.server {
                command.env("REFGATE_SERVER", &**server);
            }
        }
        Ok(Self { api, service, stage, command, place, max_push_bytes })
    }

    async fn run(self, body: Option<RequestBody>) -> Result<Body, Problem> {
        let pushed = self.service == GitService::ReceivePack && self.stage == GitStage::Answer;
        let heads = self.api.heads.clone();
        let errand = Errand {
            service: self.service,
            command: self.command,
            body,
            place: self.place,
            cut_off: self.api.git.cut_off.subscribe(),
            metrics: self.api.metrics.clone(),
            afterwards: Box::new(move || {
                if pushed {
                    heads.look();
                }
            }),
        };
        Ok(Body::from_stream(child::run(errand).await?))
    }
}

fn protocol(headers: &HeaderMap) -> GitProtocol {
    let mut values = headers.get_all("git-protocol").iter();
    match (values.next(), values.next()) {
        (Some(one), None) => GitProtocol::asked(one.to_str().ok()),
        _ => GitProtocol::asked(None),
    }
}

/// An answer as git's own server gives it: what is true now may not be so at the next request.
fn respond(body: Body, content_type: &str) -> Response {
    let never = [
        (header::EXPIRES, HeaderValue::from_static("Fri, 01 Jan 1980 00:00:00 GMT")),
        (header::PRAGMA, HeaderValue::from_static("no-cache")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0, must-revalidate")),
    ];
    (never, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, GitError> + Send + 'static,
) -> Result<T, Problem> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked.map_err(|panicked| Problem::internal(&panicked))?.map_err(|error| {
        tracing::error!(%error, "git cannot be served");
        Problem::new(Kind::Unavailable, "this control plane cannot use git; its log says why")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_repository() {
        for (path, owned) in [
            ("/config.git", true),
            ("/config.git/", true),
            ("/config.git/HEAD", true),
            ("/config.gitx", false),
            ("/v1/config.git", false),
            ("/", false),
        ] {
            assert_eq!(owns(path), owned, "{path}");
        }
    }

    #[test]
    fn pushing_is_writing() {
        for (uri, role) in [
            ("/config.git/info/refs?service=git-upload-pack", Role::Viewer),
            ("/config.git/info/refs?service=git-receive-pack", Role::Editor),
            ("/config.git/info/refs?x=1&service=git%2Dreceive-pack", Role::Editor),
            ("/config.git/info/refs", Role::Viewer),
            ("/config.git/git-upload-pack", Role::Viewer),
            ("/config.git/git-receive-pack", Role::Editor),
            ("/config.git/HEAD", Role::Viewer),
        ] {
            assert_eq!(role_needed(&uri.parse().unwrap()), role, "{uri}");
        }
    }
}

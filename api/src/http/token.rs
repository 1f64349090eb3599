//! Tokens: who has one, a new one, one less. A change holds for the next request.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use refgate_core::diagnostic::{Code, Diagnostic};
use serde_json::{Value, json};

use super::page::PageParams;
use super::params::NoParams;
use super::path::{At, Segment};
use super::{Answer, Api};
use crate::auth::{ADMIN, Access, Role, TOKENS_FILE, Token, TokenName};
use crate::body::Document;
use crate::body::fields::{Field, Fields, parsed};
use crate::problem::{Kind, Problem};

impl Segment for TokenName {
    const PARAMETER: &'static str = "token";
}

impl Field for TokenName {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        parsed(value, pointer, Code::BadName)
    }
}

impl Field for Role {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        parsed(value, pointer, Code::BadValue)
    }
}

pub(super) async fn list(State(api): State<Api>, page: PageParams) -> Answer {
    page.cut(api.door.access().list(), |token| token.name.clone())
}

/// The answer is the only place where the token itself stands.
pub(super) async fn create(State(api): State<Api>, _: NoParams, body: Document) -> Answer {
    let mut fields = Fields::of(body.0);
    let name = fields.required::<TokenName>("name");
    let role = fields.required::<Role>("role");
    let (name, role) = fields.finish(|| Some((name?, role?)))?;
    let token = Token::generate();
    let created_at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    change(&api, |access| {
        if access.add(name.as_str(), token.hash(), role, &created_at) {
            return Ok(());
        }
        let detail = format!("there is a token of the name {name}; revoke it first");
        Err(Problem::new(Kind::AlreadyExists, detail))
    })
    .await?;
    tracing::info!(token = %name, %role, "token created");
    let body = json!({
        "name": name.as_str(), "role": role, "created_at": created_at, "token": token.reveal(),
    });
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

pub(super) async fn revoke(
    State(api): State<Api>,
    At((name,)): At<(TokenName,)>,
    _: NoParams,
) -> Answer {
    if name.as_str() == ADMIN {
        let detail = "the administrator's token comes from outside: start with another \
                      REFGATE_ADMIN_TOKEN to replace it";
        return Err(Problem::new(Kind::StillReferenced, detail));
    }
    change(&api, |access| match access.remove(name.as_str()) {
        true => Ok(()),
        false => Err(Problem::new(
            Kind::NotFound,
            format!("there is no token of the name {name}; /v1/tokens lists those that there are"),
        )),
    })
    .await?;
    tracing::info!(token = %name, "token revoked");
    Ok(Json(json!({"name": name.as_str(), "revoked": true})).into_response())
}

/// Changes the tokens: on the disk first, then at the door.
async fn change(
    api: &Api,
    change: impl FnOnce(&mut Access) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let one_at_a_time = Arc::clone(&api.tokens).lock_owned().await;
    let mut access = Access::clone(&api.door.access());
    change(&mut access)?;
    let (file, door) = (access.to_file(), Arc::clone(&api.door));
    // Begun, it is done whole, whoever still waits for it.
    api.store
        .write(move |repository| {
            let _one_at_a_time = one_at_a_time;
            repository.access_write(TOKENS_FILE, &file)?;
            door.change(access);
            Ok::<_, refgate_core::Error>(())
        })
        .await
}

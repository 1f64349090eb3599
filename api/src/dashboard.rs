//! The dashboard: the control plane for people who use a browser.
//!
//! Pages are made here, on the server, and work without scripts: real links, real forms, a redirect
//! after each write. What a page reads and writes it asks of the same operations as the API
//! ([`crate::http`]), in this process; nothing is decided here that the API would decide otherwise.
//! Who may see a page is in [`admit`](mod@admit), who is signed in in [`session`], what pages share
//! in [`page`], [`parts`] and [`form`]. Everything that has a form of its own is an
//! [`editor::Subject`].

mod admit;
mod assets;
mod commit;
mod compare;
mod create;
mod editor;
mod fields;
mod form;
mod gateway;
mod group;
mod history;
mod import;
mod live;
mod node;
mod object;
mod overview;
mod page;
mod parts;
mod remove;
mod rollback;
mod route;
mod service;
mod session;
mod settings;
mod sign_in;
mod sync;
mod upstream;
mod version;
mod words;

use axum::http::Method;
use axum::response::Response;

pub(crate) use admit::admit;
pub(crate) use page::missing;
pub(crate) use session::Sessions;

use crate::auth::Role;
use crate::http::{Endpoint, Guard, endpoint};
use crate::problem::Problem;

/// What the handler of a page answers; a problem becomes a page in [`admit`](mod@admit).
type Answer = Result<Response, Problem>;

/// Rows of a page of a list.
const PAGE: usize = 50;

/// Every page there is. Where something new is made is a path with `~` in it, which no name has:
/// whatever a thing is called, its page is reached. The router is made from it, and so are the tests that ask for each of them
/// without being signed in.
pub(crate) fn pages() -> Vec<Endpoint> {
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const READ: Guard = Guard::Page(Role::Viewer);
    const WRITE: Guard = Guard::Page(Role::Editor);
    const MANAGE: Guard = Guard::Page(Role::Admin);
    const OPEN: Guard = Guard::Open;
    let mut pages = vec![
        endpoint(GET, "/login", OPEN, sign_in::show),
        endpoint(POST, "/login", OPEN, sign_in::enter),
        endpoint(POST, "/logout", READ, sign_in::leave),
        endpoint(POST, "/theme", READ, sign_in::theme),
        endpoint(GET, "/assets/{hash}/{file}", OPEN, assets::get),
        endpoint(GET, "/live", READ, live::stream),
        endpoint(GET, "/", READ, overview::show),
        endpoint(GET, "/history", READ, history::all),
        endpoint(GET, "/gateways", READ, gateway::all),
        endpoint(POST, "/gateways/{group}/{instance}/remove", WRITE, gateway::remove),
        endpoint(GET, "/compare", READ, compare::show),
        endpoint(GET, "/compare/services", READ, compare::services),
        endpoint(GET, "/groups/~new", MANAGE, settings::new_group),
        endpoint(POST, "/groups/~new", MANAGE, settings::create_group),
        endpoint(GET, "/groups/{group}", READ, group::services),
        endpoint(GET, "/groups/{group}/history", READ, history::of_group),
        endpoint(GET, "/groups/{group}/gateways", READ, gateway::of_group),
        endpoint(GET, "/groups/{group}/settings", READ, settings::group),
        endpoint(POST, "/groups/{group}/settings", MANAGE, settings::save_group),
        endpoint(GET, "/groups/{group}/delete", MANAGE, group::ask_delete),
        endpoint(POST, "/groups/{group}/delete", MANAGE, group::delete),
        endpoint(GET, "/groups/{group}/rollback", WRITE, rollback::group),
        endpoint(POST, "/groups/{group}/rollback", WRITE, rollback::roll_group),
        endpoint(GET, "/groups/{group}/commits/{commit}", READ, commit::show),
        endpoint(GET, "/groups/{group}/import", WRITE, import::show),
        endpoint(POST, "/groups/{group}/import", WRITE, import::run),
        endpoint(GET, "/groups/{group}/services/~new", WRITE, create::show),
        endpoint(POST, "/groups/{group}/services/~new", WRITE, create::save),
    ];
    pages.extend(service_pages());
    for kind in ["consumers", "certificates", "global-rules"] {
        pages.extend(object::pages(kind));
    }
    pages
}

/// The pages of a service in a group.
fn service_pages() -> Vec<Endpoint> {
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const READ: Guard = Guard::Page(Role::Viewer);
    const WRITE: Guard = Guard::Page(Role::Editor);
    macro_rules! at {
        ($rest:literal) => {
            concat!("/groups/{group}/services/{service}", $rest)
        };
    }
    vec![
        endpoint(GET, at!(""), READ, service::overview),
        endpoint(GET, at!("/routes"), READ, service::routes),
        endpoint(GET, at!("/upstreams"), READ, service::upstreams),
        endpoint(GET, at!("/hosts"), READ, service::hosts),
        endpoint(GET, at!("/plugins"), READ, service::plugins),
        endpoint(GET, at!("/versions"), READ, version::show),
        endpoint(POST, at!("/versions"), WRITE, version::tag),
        endpoint(GET, at!("/history"), READ, history::of_service),
        endpoint(GET, at!("/json"), READ, service::json),
        endpoint(GET, at!("/delete"), WRITE, service::ask_delete),
        endpoint(POST, at!("/delete"), WRITE, service::delete),
        endpoint(GET, at!("/sync"), WRITE, sync::show),
        endpoint(POST, at!("/sync"), WRITE, sync::run),
        endpoint(GET, at!("/rollback"), WRITE, rollback::service),
        endpoint(POST, at!("/rollback"), WRITE, rollback::roll_service),
        endpoint(GET, at!("/settings"), READ, settings::service),
        endpoint(POST, at!("/settings"), WRITE, settings::save_service),
        endpoint(GET, at!("/runtime"), READ, settings::runtime),
        endpoint(POST, at!("/runtime"), WRITE, settings::save_runtime),
        endpoint(GET, at!("/routes/~new"), WRITE, route::add),
        endpoint(POST, at!("/routes/~new"), WRITE, route::create),
        endpoint(GET, at!("/routes/{route}"), READ, route::show),
        endpoint(POST, at!("/routes/{route}"), WRITE, route::save),
        endpoint(GET, at!("/routes/{route}/delete"), WRITE, route::ask_delete),
        endpoint(POST, at!("/routes/{route}/delete"), WRITE, route::delete),
        endpoint(GET, at!("/upstreams/~new"), WRITE, upstream::add),
        endpoint(POST, at!("/upstreams/~new"), WRITE, upstream::create),
        endpoint(GET, at!("/upstreams/{upstream}"), READ, upstream::show),
        endpoint(POST, at!("/upstreams/{upstream}"), WRITE, upstream::save),
        endpoint(GET, at!("/upstreams/{upstream}/delete"), WRITE, upstream::ask_delete),
        endpoint(POST, at!("/upstreams/{upstream}/delete"), WRITE, upstream::delete),
        endpoint(POST, at!("/upstreams/{upstream}/nodes"), WRITE, node::add),
        endpoint(GET, at!("/upstreams/{upstream}/nodes/remove"), WRITE, node::ask_remove),
        endpoint(POST, at!("/upstreams/{upstream}/nodes/remove"), WRITE, node::remove),
        endpoint(POST, at!("/hosts"), WRITE, node::add_host),
        endpoint(GET, at!("/hosts/remove"), WRITE, node::ask_remove_host),
        endpoint(POST, at!("/hosts/remove"), WRITE, node::remove_host),
    ]
}

#[cfg(test)]
mod tests;

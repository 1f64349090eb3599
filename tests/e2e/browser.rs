//! The dashboard in a real browser, as people use it: the whole walk from the first page to a rollback on
//! a desk and on a telephone, every page looked over on the way, and the keyboard alone.
//!
//! What is said and done on each page is tested beside its code; here it is what only a browser shows:
//! scripts, dialogs, live updates, the console, what is in sight, and what axe-core finds.
//! `.ci/setup browser` brings the browser, `REFGATE_TEST_BROWSER=off` leaves these tests out.

mod keyboard;
mod tour;
mod walk;

use anyhow::Result;
use refgate_tests::browser::{Browser, Size};
use refgate_tests::stage::{Stage, TOKEN};

use self::walk::Walk;

/// A service in a group, as its page is named.
fn page_of(group: &str) -> String {
    format!("/groups/{group}/services/httpbin")
}

fn walk(size: Size) -> Result<()> {
    let stage = Stage::new()?;
    let Some(browser) = Browser::open(stage.refgate.api.base(), size)? else {
        return Ok(());
    };
    let walk = Walk { browser, stage };
    let walked = walk.go();
    // What is wrong with pages is told even when the walk broke off.
    match (walked, walk.browser.verdict()) {
        (Err(broken), Err(faults)) => Err(broken.context(format!("{faults:#}"))),
        (walked, verdict) => walked.and(verdict),
    }
}

#[test]
fn the_whole_walk_on_a_desk() -> Result<()> {
    walk(Size::WIDE)
}

#[test]
fn the_whole_walk_on_a_telephone() -> Result<()> {
    walk(Size::NARROW)
}

/// Signs in, from whatever page.
fn sign_in(browser: &Browser) -> Result<()> {
    browser.goto("/login")?;
    browser.fill("#token", TOKEN)?;
    browser.click("#sign-in")?;
    browser.arrives("/")
}

//! From the sign-in to a service and its dialog with Tab, Enter and Escape only.

use anyhow::{Result, ensure};
use refgate_tests::browser::{Browser, Size};
use refgate_tests::stage::{Stage, TOKEN};

use super::page_of;

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

#[test]
fn a_service_is_added_with_the_keyboard_alone() -> Result<()> {
    let stage = Stage::new()?;
    let Some(browser) = Browser::open(stage.refgate.api.base(), Size::WIDE)? else {
        return Ok(());
    };
    browser.goto("/")?;
    browser.arrives("/login")?;
    // The one field has the focus already.
    browser.press(TOKEN)?;
    browser.press(ENTER)?;
    browser.arrives("/")?;

    // The first stop leads past the navigation.
    browser.tab_to("a.skip")?;
    browser.press(ENTER)?;
    browser.tab_to(".empty a.button")?;
    browser.press(ENTER)?;
    browser.arrives("/groups/test/services/~new")?;
    let node = "/runtime/upstreams/default/nodes/0";
    for (field, text) in [
        ("#fname", "httpbin"),
        (&format!("[name='{node}/host']"), "127.0.0.1"),
        (&format!("[name='{node}/port']"), &stage.origin.port.to_string()),
        ("#f-runtime-hosts", "test.acme.com"),
        ("#froute_name", "get-headers"),
        ("#f-routes-first-route-paths", "/headers"),
    ] {
        browser.tab_to(field)?;
        browser.press(text)?;
    }
    browser.tab_to("input[value=GET]")?;
    browser.press(" ")?;
    browser.tab_to("#reason")?;
    browser.press("by keyboard")?;
    browser.press(ENTER)?;
    browser.arrives(&page_of("test"))?;
    stage.serves("test", "/headers", 200)?;

    // A dialog takes the focus and gives it back.
    browser.tab_to("#sync")?;
    browser.press(ENTER)?;
    browser.sees("dialog[open] #preview")?;
    let inside = "return document.querySelector('dialog').contains(document.activeElement)";
    ensure!(browser.script(inside, &[])? == true, "the dialog has the focus");
    browser.press(ESCAPE)?;
    browser.loses("dialog")?;
    let back = browser.script("return document.activeElement.id", &[])?;
    ensure!(back == "sync", "the focus is where it was, not at {back}");
    Ok(())
}

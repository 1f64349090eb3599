//! `make screenshots`: the pictures of the dashboard in `docs/images`, of a shop's services on their way to
//! production. [`shop`] is what there is to see; here is where the pictures are taken.

mod shop;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use refgate_tests::browser::{Browser, Size};
use refgate_tests::programs::workspace;
use refgate_tests::stage::Stage;
use tempfile::TempDir;

const WINDOW: Size = Size { width: 1280, height: 800 };
/// What a document that many people load should not exceed, in bytes.
const LARGEST: usize = 150_000;
/// What the system's font is taken to be, the first that is there: pages are set in the system's font, and
/// that of a server without a desktop is nobody's choice.
const FONTS: [&str; 3] = ["Inter", "Noto Sans", "Liberation Sans"];

fn main() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let jane = shop::open(&stage)?;
    let base = stage.refgate.api.base();

    let Some(desk) = Album::open(base, WINDOW, &jane)? else { return Ok(()) };
    desk.take("overview", "/", |_| Ok(()))?;
    desk.take("service", "/groups/production/services/checkout", |_| Ok(()))?;
    desk.take("add-service", "/groups/test/services/~new", |browser| {
        browser.fill("#fname", "reviews")?;
        browser.fill("[name='/description']", "What customers say of a product")?;
        browser.fill("#fupstream_name", "default")?;
        let node = "/runtime/upstreams/default/nodes/0";
        browser.fill(&format!("[name='{node}/host']"), "10.20.7.21")?;
        browser.fill(&format!("[name='{node}/port']"), "8080")
    })?;
    desk.take("sync", "/groups/uat/services/checkout", |browser| {
        browser.click("#sync")?;
        browser.sees("dialog[open] #preview")?;
        browser.fill("dialog #reason", "CHK-311: vouchers")
    })?;
    desk.take("conflict", "/groups/test/services/orders/sync?to=uat", |browser| {
        browser.click("[data-conflict$='#/timeout/read'] input[value=ours]")
    })?;
    desk.take("rollback", "/groups/production/services/checkout", |browser| {
        browser.click("#rollback")?;
        browser.sees("dialog[open] #target")?;
        browser.replaces("dialog #editor", |it| it.choose("dialog #target", "1.3.0"))
    })?;
    let compare = "/compare?service=checkout&from=group:production&to=group:uat";
    desk.take("compare", compare, |_| Ok(()))?;
    desk.take("history", "/history", |_| Ok(()))?;
    desk.browser.prefer_dark(true)?;
    desk.take("overview-dark", "/", |_| Ok(()))?;

    let Some(telephone) = Album::open(base, Size::NARROW, &jane)? else { return Ok(()) };
    telephone.take("telephone", "/", |_| Ok(()))
}

/// A browser that somebody is signed in with, and where its pictures go.
struct Album {
    browser: Browser,
    folder: PathBuf,
    _fonts: TempDir,
}

impl Album {
    fn open(base: &str, size: Size, token: &str) -> anyhow::Result<Option<Self>> {
        let fonts = tempfile::tempdir()?;
        let file = fonts.path().join("fonts.conf");
        fs::write(&file, font_settings()?)?;
        let set = |command: &mut Command| {
            command.env("FONTCONFIG_FILE", &file);
        };
        let Some(browser) = Browser::open_with(base, size, set)? else { return Ok(None) };
        browser.prefer_dark(false)?;
        browser.goto("/login")?;
        browser.fill("#token", token)?;
        browser.click("#sign-in")?;
        browser.arrives("/")?;
        Ok(Some(Self { browser, folder: workspace().join("docs/images"), _fonts: fonts }))
    }

    /// A picture of a page, after something was done there.
    fn take(
        &self,
        name: &str,
        path: &str,
        step: impl FnOnce(&Browser) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.browser.goto(path)?;
        step(&self.browser)?;
        // No frame around what was done last, no cursor that happens to blink.
        self.browser.script("document.activeElement.blur(); scrollTo(0, 0)", &[])?;
        let picture = self.browser.picture()?;
        anyhow::ensure!(picture.len() <= LARGEST, "{name}: {} bytes", picture.len());
        let file = self.folder.join(format!("{name}.png"));
        fs::write(&file, &picture)?;
        println!("{} ({} KB)", file.display(), picture.len() / 1000);
        Ok(())
    }
}

/// The system's settings of fontconfig, with [`FONTS`] before its sans serif.
fn font_settings() -> anyhow::Result<String> {
    let mut names = String::new();
    for font in FONTS {
        write!(names, "<string>{font}</string>")?;
    }
    Ok(format!(
        r#"<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <match target="pattern">
    <test qual="first" name="family" compare="contains"><string>sans</string></test>
    <edit name="family" mode="prepend_first" binding="strong">{names}</edit>
  </match>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
</fontconfig>
"#
    ))
}

//! A real browser, driven as a person uses one: what is clicked is in sight, what is typed is typed
//! key by key.
//!
//! Chromium and its driver are looked for in [`find`]; how the driver is spoken to is in [`transport`];
//! what must hold on every page, whatever the page is for, is in [`audit`]. Every step waits until it can
//! be done: scripts, swaps and live updates of the page need no sleep anywhere.

pub mod audit;
mod find;
mod transport;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::common::capabilities::chromium::ChromiumLikeCapabilities as _;
use thirtyfour::error::WebDriverResult;
use thirtyfour::{By, DesiredCapabilities, Key, LoggingPrefsLogLevel, WebDriver, WebElement};
use tokio::runtime::{Builder, Runtime};

use crate::process::Process;
use crate::wait::wait_for;

/// The window: what of a page is seen at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// CSS pixels.
    pub width: u32,
    /// CSS pixels.
    pub height: u32,
}

impl Size {
    /// A screen on a desk.
    pub const WIDE: Self = Self { width: 1440, height: 900 };
    /// A telephone.
    pub const NARROW: Self = Self { width: 375, height: 812 };
}

/// A browser with one window, and the driver that it is driven by.
pub struct Browser {
    runtime: Runtime,
    /// Gone once the browser was asked to end.
    driver: Option<WebDriver>,
    /// Declared after the driver: the browser is asked to end before its driver is.
    _chromedriver: Process,
    /// The profile and whatever else the two write.
    _directory: TempDir,
    base: String,
    size: Size,
    /// Answers of the server that a step is meant to get; the browser logs them as errors.
    refusals: RefCell<BTreeSet<u16>>,
    /// What was wrong with pages that were looked at.
    faults: RefCell<Vec<String>>,
}

impl Browser {
    /// Opens one whose addresses begin with `base`. `None` where the environment leaves browsers out
    /// (`REFGATE_TEST_BROWSER=off`).
    ///
    /// # Errors
    /// When there is no browser, or no driver of its version; the message says what to do.
    pub fn open(base: &str, size: Size) -> anyhow::Result<Option<Self>> {
        Self::open_with(base, size, |_| {})
    }

    /// The same, with an environment of its own: the driver's is the browser's.
    pub fn open_with(
        base: &str,
        size: Size,
        environment: impl FnOnce(&mut Command),
    ) -> anyhow::Result<Option<Self>> {
        if find::left_out() {
            eprintln!("left out: REFGATE_TEST_BROWSER=off");
            return Ok(None);
        }
        let found = find::pair()?;
        let directory = TempDir::new()?;
        let mut command = Command::new(&found.driver);
        command.arg("--port=0").env("TMPDIR", directory.path());
        environment(&mut command);
        let chromedriver = Process::start("chromedriver", &mut command)?;
        let port = chromedriver.line("ChromeDriver was started successfully on port ")?;
        let address = format!("http://127.0.0.1:{}", port.trim_end_matches('.'));

        let runtime = Builder::new_current_thread().enable_all().build()?;
        let connect = async {
            WebDriver::builder(&address, capabilities(&found.browser, directory.path())?)
                .client(transport::Transport::new())
                .connect()
                .await
        };
        let driver = runtime.block_on(connect).with_context(|| chromedriver.wrote())?;
        let browser = Self {
            runtime,
            driver: Some(driver),
            _chromedriver: chromedriver,
            _directory: directory,
            base: base.to_owned(),
            size,
            refusals: RefCell::default(),
            faults: RefCell::default(),
        };
        browser.resize(size)?;
        Ok(Some(browser))
    }

    /// Forgets every cookie, as when a session is over.
    pub fn forgets_cookies(&self) -> anyhow::Result<()> {
        self.run(self.driver()?.delete_all_cookies())
    }

    /// The driver, for what is not wrapped here.
    fn driver(&self) -> anyhow::Result<&WebDriver> {
        self.driver.as_ref().context("the browser was closed")
    }

    fn run<T>(&self, step: impl Future<Output = WebDriverResult<T>>) -> anyhow::Result<T> {
        self.runtime.block_on(step).map_err(|error| {
            // The driver adds the addresses of its own code.
            let told = error.to_string();
            anyhow::anyhow!("{}", told.split("Stacktrace:").next().unwrap_or_default().trim_end())
        })
    }

    /// Sends a command of the DevTools protocol.
    fn devtools(&self, method: &str, parameters: Value) -> anyhow::Result<Value> {
        let devtools = self.driver()?.cdp();
        self.run(devtools.send_raw(method, parameters))
    }

    fn resize(&self, size: Size) -> anyhow::Result<()> {
        // The window itself cannot be as narrow as a telephone.
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({
                "width": size.width,
                "height": size.height,
                "deviceScaleFactor": 1,
                "mobile": size.width < 720,
            }),
        )?;
        Ok(())
    }

    /// How large the window is.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Whether the person's system is dark, which pages follow until told otherwise.
    pub fn prefer_dark(&self, dark: bool) -> anyhow::Result<()> {
        let value = if dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": value}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features}))?;
        Ok(())
    }

    /// Goes to a path.
    pub fn goto(&self, path: &str) -> anyhow::Result<()> {
        self.run(self.driver()?.goto(format!("{}{path}", self.base)))
    }

    /// Where the browser is: path and query.
    pub fn path(&self) -> anyhow::Result<String> {
        let url = self.run(self.driver()?.current_url())?;
        Ok(url.as_str().strip_prefix(&self.base).unwrap_or(url.as_str()).to_owned())
    }

    /// Waits until the browser is at `path`, and its page is whole.
    pub fn arrives(&self, path: &str) -> anyhow::Result<()> {
        wait_for(&format!("the page {path}"), || {
            let now = self.path()?;
            anyhow::ensure!(now == path, "it is at {now}");
            let state = self.script("return document.readyState", &[])?;
            anyhow::ensure!(state == "complete", "it is {state}");
            Ok(())
        })
        .with_context(|| self.seen())
    }

    /// Waits until an element is there and seen.
    pub fn sees(&self, css: &str) -> anyhow::Result<()> {
        self.with(css, async |element| element.is_displayed().await, |seen| *seen).map(drop)
    }

    /// Waits until no element is there, or none is seen.
    pub fn loses(&self, css: &str) -> anyhow::Result<()> {
        let count = "return [...document.querySelectorAll(arguments[0])].filter(it => it.checkVisibility()).length";
        wait_for(&format!("{css} to go"), || {
            let left = self.script(count, &[css.into()])?;
            anyhow::ensure!(left == 0, "{left} of it are there");
            Ok(())
        })
        .with_context(|| self.seen())
    }

    /// Waits until an element has `words` in its text.
    pub fn reads(&self, css: &str, words: &str) -> anyhow::Result<()> {
        self.with(css, async |element| element.text().await, |text| text.contains(words))
            .map(drop)
            .with_context(|| format!("{css} should say {words:?}"))
    }

    /// The text of an element, as it is seen.
    pub fn text(&self, css: &str) -> anyhow::Result<String> {
        self.with(css, async |element| element.text().await, |_| true)
    }

    /// What stands in a field.
    pub fn value(&self, css: &str) -> anyhow::Result<String> {
        let value = self.with(css, async |element| element.prop("value").await, |_| true)?;
        Ok(value.unwrap_or_default())
    }

    /// Clicks on the one element.
    pub fn click(&self, css: &str) -> anyhow::Result<()> {
        let click = async |element: WebElement| {
            // A person scrolls, too, until what stays at the top of the page is not in the way.
            let centre = "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})";
            element.handle().execute(centre, vec![element.to_json()?]).await?;
            element.click().await
        };
        self.with(css, click, |()| true)
    }

    /// Clicks on what has exactly these words, within `css`.
    pub fn click_words(&self, css: &str, words: &str) -> anyhow::Result<()> {
        let marked = "const found = [...document.querySelectorAll(arguments[0])]
                .filter(it => it.textContent.trim() === arguments[1] && it.checkVisibility());
            document.querySelectorAll('[data-found]').forEach(it => it.removeAttribute('data-found'));
            if (found.length === 1) found[0].dataset.found = '';
            return found.length";
        wait_for(&format!("{css} that says {words:?}"), || {
            let count = self.script(marked, &[css.into(), words.into()])?;
            anyhow::ensure!(count == 1, "{count} are there");
            Ok(())
        })
        .with_context(|| self.seen())?;
        self.click("[data-found]")
    }

    /// Types into a field, in place of what is there.
    pub fn fill(&self, css: &str, text: &str) -> anyhow::Result<()> {
        let fill = async |element: WebElement| {
            element.clear().await?;
            element.send_keys(text).await?;
            element.prop("value").await
        };
        self.with(css, fill, |now| now.as_deref() == Some(text)).map(drop)
    }

    /// Chooses of a list, by the value of the option.
    pub fn choose(&self, css: &str, value: &str) -> anyhow::Result<()> {
        self.click(&format!("{css} option[value=\"{value}\"]"))
    }

    /// Does what replaces a part of the page, and waits for the new one.
    pub fn replaces(
        &self,
        css: &str,
        step: impl FnOnce(&Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.sees(css)?;
        self.script("document.querySelector(arguments[0]).dataset.before = ''", &[css.into()])?;
        step(self)?;
        self.sees(&format!("{css}:not([data-before])"))
    }

    /// Presses keys, wherever the focus is.
    pub fn press(&self, keys: &str) -> anyhow::Result<()> {
        let keyboard = self.driver()?.action_chain().send_keys(keys);
        self.run(keyboard.perform())
    }

    /// Presses Tab until an element has the focus.
    ///
    /// # Errors
    /// When fifty presses do not reach it.
    pub fn tab_to(&self, css: &str) -> anyhow::Result<()> {
        let reached = "return document.activeElement.matches(arguments[0])";
        for _ in 0..50 {
            if self.script(reached, &[css.into()])? == true {
                return Ok(());
            }
            self.press(&String::from(char::from(Key::Tab)))?;
        }
        Err(anyhow::anyhow!("{css} is not reached with Tab")).with_context(|| self.seen())
    }

    /// Runs a script on the page; the rules of the page for scripts are not asked.
    pub fn script(&self, script: &str, arguments: &[Value]) -> anyhow::Result<Value> {
        let returned = self.run(self.driver()?.execute(script, arguments.to_vec()))?;
        Ok(returned.json().clone())
    }

    /// The same for a script that calls its last argument when it is done.
    fn script_async(&self, script: &str, arguments: &[Value]) -> anyhow::Result<Value> {
        let returned = self.run(self.driver()?.execute_async(script, arguments.to_vec()))?;
        Ok(returned.json().clone())
    }

    /// A picture of what is in the window, as PNG.
    pub fn picture(&self) -> anyhow::Result<Vec<u8>> {
        self.run(self.driver()?.screenshot_as_png())
    }

    /// Whatever comes next, the server may answer with this status without it being a fault.
    pub fn may_be_refused(&self, status: u16) {
        self.refusals.borrow_mut().insert(status);
    }

    /// Finds an element and does something with it, until that works and its result is as wanted:
    /// between two steps a page may swap its parts.
    fn with<T>(
        &self,
        css: &str,
        step: impl AsyncFn(WebElement) -> WebDriverResult<T>,
        wanted: impl Fn(&T) -> bool,
    ) -> anyhow::Result<T>
    where
        T: std::fmt::Debug,
    {
        let driver = self.driver()?;
        wait_for(css, || {
            let found =
                self.run(async { step(driver.find(By::Css(css.to_owned())).await?).await })?;
            anyhow::ensure!(wanted(&found), "it is {found:?}");
            Ok(found)
        })
        .with_context(|| self.seen())
    }

    /// What a person would see, for the message of a failing test.
    fn seen(&self) -> String {
        let text = self.script("return document.body.innerText", &[]);
        let text = text.ok().and_then(|text| text.as_str().map(str::to_owned));
        format!(
            "at {} ({} px):\n{}\n",
            self.path().unwrap_or_default(),
            self.size.width,
            text.unwrap_or_default()
        )
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Else its processes would outlive the driver. It fails only when they are gone.
        if let Some(driver) = self.driver.take() {
            let _ = self.runtime.block_on(driver.quit());
        }
    }
}

/// The settings of the browser: its own profile, no network but what pages ask for, no sandbox (which
/// root, as in containers, does not get).
fn capabilities(
    program: &Path,
    directory: &Path,
) -> WebDriverResult<thirtyfour::ChromeCapabilities> {
    let mut wanted = DesiredCapabilities::chrome();
    wanted.set_binary(&program.to_string_lossy())?;
    let profile = format!("--user-data-dir={}", directory.join("profile").display());
    for argument in [
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--no-first-run",
        "--no-proxy-server",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-extensions",
        "--disable-sync",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
        &profile,
    ] {
        wanted.add_arg(argument)?;
    }
    wanted.set_browser_log_level(LoggingPrefsLogLevel::All)?;
    Ok(wanted)
}

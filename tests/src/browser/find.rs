//! Which browser is driven, and by what.
//!
//! A driver drives the browser of its own version only, and a machine may have several. `.ci/setup browser`
//! looks in the same places, and brings both where they are missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::run;

/// By name on the PATH, or where macOS has it.
const BROWSERS: [&str; 6] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

const REMEDY: &str = "`.ci/setup browser` installs them; REFGATE_TEST_BROWSER=off leaves out the tests that need them";

/// A browser and the driver for it.
pub(super) struct Pair {
    pub(super) driver: PathBuf,
    pub(super) browser: PathBuf,
}

/// Whether the environment leaves browsers out.
pub(super) fn left_out() -> bool {
    std::env::var_os("REFGATE_TEST_BROWSER").is_some_and(|value| value == "off")
}

/// The first browser that the driver on the PATH can drive.
pub(super) fn pair() -> anyhow::Result<Pair> {
    let Some((driver, wanted)) = on_path("chromedriver").and_then(versioned) else {
        anyhow::bail!("there is no chromedriver on the PATH: {REMEDY}");
    };
    let found: Vec<_> =
        BROWSERS.iter().filter_map(|name| on_path(name).and_then(versioned)).collect();
    match found.iter().find(|(_, version)| *version == wanted) {
        Some((browser, _)) => Ok(Pair { driver, browser: browser.clone() }),
        None => anyhow::bail!(
            "chromedriver is of version {wanted}, and of Chromium or Chrome there is {found:?}: {REMEDY}"
        ),
    }
}

/// The program, when there is one.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // An absolute name stays as it is.
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// With the first number of what it says of its version.
fn versioned(program: PathBuf) -> Option<(PathBuf, u32)> {
    let version = version(&program)?;
    Some((program, version))
}

fn version(program: &Path) -> Option<u32> {
    let said = run(Command::new(program).arg("--version")).ok()?.stdout;
    let number =
        said.split(' ').find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    number?.split('.').next()?.parse().ok()
}

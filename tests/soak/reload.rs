//! `make soak-reload`: 20 commits a second change routes, weights, nodes, hosts and certificates under
//! load; no request may fail, and each must be answered as a configuration says that was in force
//! while it ran. The argument is how many seconds it runs (60). What it does is in `tests/src/storm.rs`.

use anyhow::Context as _;
use refgate_tests::storm::Storm;

/// Commits in a second.
const RATE: f64 = 20.0;

fn main() -> anyhow::Result<()> {
    let seconds: f64 = match std::env::args().nth(1) {
        Some(text) => text.parse().with_context(|| format!("{text:?} is no number of seconds"))?,
        None => 60.0,
    };
    let storm = Storm { commits: (seconds * RATE).round() as usize, rate: RATE };
    let report = storm.run()?;
    println!("{report}");
    report.sound()?;
    // Fewer would be a weaker proof than the one that was asked for.
    let rate = report.rate();
    anyhow::ensure!(rate > RATE * 0.95, "the machine took only {rate:.1} commits a second");
    println!("sound: every request was answered, by a configuration that was in force");
    Ok(())
}

//! Reloading under traffic: while commits change everything, no request fails or goes astray.
//! `make soak-reload` does the same for longer.

use refgate_tests::storm::Storm;

#[test]
fn no_request_fails_or_goes_astray_while_commits_change_everything() -> anyhow::Result<()> {
    // Each property changes some times, certificates among them.
    Storm { commits: 64, rate: 20.0 }.run()?.sound()
}

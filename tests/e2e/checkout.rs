//! A clone on somebody's machine: what the API wrote is sound and canonical there, with no server.

use refgate_tests::git::WorkTree;
use refgate_tests::process::run;
use refgate_tests::stage::{Stage, refgate};

#[test]
fn what_the_api_wrote_is_sound_and_canonical_in_a_clone() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let directory = stage.scratch().join("clone");
    let repository = stage.data().join("config.git");
    WorkTree::clone_of(&repository.to_string_lossy(), &directory, &["--branch", "test"])?;
    stage.refgate.stop()?;
    let refgate = |arguments: &[&str]| -> anyhow::Result<_> {
        // Nobody listens there.
        run(refgate()?
            .args(arguments)
            .current_dir(&directory)
            .env("REFGATE_SERVER", "http://127.0.0.1:1"))
    };
    for arguments in [&["validate", "."][..], &["fmt", "--check", "."]] {
        let ended = refgate(arguments)?;
        assert_eq!(ended.code(), 0, "{ended:?}");
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
    let route = std::fs::read_dir(directory.join("services/httpbin/routes"))?
        .next()
        .ok_or_else(|| anyhow::anyhow!("httpbin has no route"))??
        .path();
    std::fs::write(&route, "{\n  \"paths\": [\n    \"headers\"\n  ]\n}\n")?;
    let place = route.strip_prefix(&directory)?.display().to_string();
    for path in [".", &place] {
        let ended = refgate(&["validate", path])?;
        assert_eq!(ended.code(), 1, "{ended:?}");
        assert!(ended.stdout.starts_with(&format!("error: {place}:3:5 /paths/0: ")), "{ended:?}");
    }
    Ok(())
}

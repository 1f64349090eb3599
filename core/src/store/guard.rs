//! What keeps git processes from harming a repository: its settings, and the hooks that check a push.
//!
//! Both can be taken away by hand. Whoever starts a control plane puts them back and says so; a push
//! to a repository whose hooks are gone is not checked, but gateways still prove what they serve.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use git2::ErrorCode;

use super::StoreError;

/// Settings of the repository that keep git processes from destroying or losing anything, and make
/// them ask before they take what is pushed.
pub(crate) const PROTECTION: &[(&str, &str)] = &[
    // Maintenance is Refgate's own: git's pruning beside libgit2 writers destroys objects.
    ("extensions.preciousobjects", "true"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("receive.autogc", "false"),
    // Git processes flush like libgit2 does here.
    ("core.fsync", "all"),
    // Refs never move backwards, and pushed objects are checked.
    ("receive.denynonfastforwards", "true"),
    ("receive.denydeletes", "true"),
    ("receive.fsckobjects", "true"),
    // Who may do what, and who pushed, is nobody's to fetch or to push.
    ("transfer.hiderefs", "refs/refgate"),
    // A push is checked, from outside the repository: what can write in it cannot change the check.
    ("core.hookspath", "../hooks"),
    // A version is promoted by a push, with its parameters as options.
    ("receive.procreceiverefs", "refs/for"),
    ("receive.advertisepushoptions", "true"),
    // A small pack that unfolds to a huge file is written through, not held in memory.
    ("core.bigfilethreshold", "2m"),
];

/// The hooks, by the names that git knows.
const HOOKS: [&str; 3] = ["pre-receive", "proc-receive", "post-receive"];

/// Where the hooks of the repository at `path` are.
pub(crate) fn hooks(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new(".")).join("hooks")
}

/// Puts settings and hooks of the repository at `path` in order; hooks run `program`. Tells what was
/// not as it should be.
pub(crate) fn repair(path: &Path, program: &Path) -> Result<Vec<String>, StoreError> {
    let mut repaired = Vec::new();
    let mut config = git2::Config::open(&path.join("config"))?;
    for (key, value) in PROTECTION {
        match config.get_string(key) {
            Ok(found) if found == *value => continue,
            Ok(found) => repaired.push(format!("the setting {key} was {found}, not {value}")),
            Err(error) if error.code() == ErrorCode::NotFound => {
                repaired.push(format!("the setting {key} was absent"));
            }
            Err(error) => return Err(error.into()),
        }
        // There may be several, of which the last counts.
        match config.remove_multivar(key, ".*") {
            Err(error) if error.code() != ErrorCode::NotFound => return Err(error.into()),
            _ => {}
        }
        config.set_str(key, value)?;
    }
    let folder = hooks(path);
    let was_there = folder.is_dir();
    fs::create_dir_all(&folder)?;
    for name in HOOKS {
        let file = folder.join(name);
        let wanted = script(name, program);
        let runs = |file: &Path| -> io::Result<bool> {
            Ok(fs::read(file)? == wanted.as_bytes()
                && fs::metadata(file)?.permissions().mode() & 0o111 == 0o111)
        };
        if runs(&file).unwrap_or(false) {
            continue;
        }
        write(&folder, &file, &wanted)?;
        // A repository that is new has none yet.
        if was_there {
            repaired.push(format!("the hook {name} was absent, or another one"));
        }
    }
    Ok(repaired)
}

/// Whether a push to the repository at `path` is checked: what of it is missing.
pub(crate) fn missing_hooks(path: &Path) -> Vec<&'static str> {
    let folder = hooks(path);
    let can_run = |name: &&str| {
        let file = fs::metadata(folder.join(name));
        file.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    HOOKS.into_iter().filter(|name| !can_run(name)).collect()
}

fn script(name: &str, program: &Path) -> String {
    let quoted = program.display().to_string().replace('\'', r"'\''");
    format!(
        "#!/bin/sh\n# Written anew whenever the control plane starts. Without this hook, pushes are not checked.\nexec '{quoted}' hook {name}\n"
    )
}

/// Puts a file in its place whole: a push may come at any time.
fn write(folder: &Path, file: &Path, text: &str) -> io::Result<()> {
    let made = tempfile::NamedTempFile::new_in(folder)?;
    fs::write(made.path(), text)?;
    fs::set_permissions(made.path(), fs::Permissions::from_mode(0o755))?;
    made.persist(file).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_away_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.git");
        crate::store::create_repository(&path).expect("created");
        let program = Path::new("/opt/it's/refgate");
        assert_eq!(repair(&path, program).expect("repaired"), [""; 0], "a new one is in order");
        assert_eq!(missing_hooks(&path), [""; 0]);
        assert_eq!(repair(&path, program).expect("repaired"), [""; 0]);

        let pre_receive = hooks(&path).join("pre-receive");
        fs::remove_file(&pre_receive).expect("removed");
        fs::write(hooks(&path).join("proc-receive"), "exit 0").expect("written");
        let mut config = git2::Config::open(&path.join("config")).expect("opened");
        config.set_str("receive.denydeletes", "false").expect("set");
        config.remove("core.hookspath").expect("removed");
        config.set_multivar("core.fsync", "^$", "none").expect("set");
        assert_eq!(missing_hooks(&path), ["pre-receive"]);
        let repaired = repair(&path, program).expect("repaired").join("\n");
        for part in ["denydeletes", "hookspath", "core.fsync", "pre-receive", "proc-receive"] {
            assert!(repaired.contains(part), "{part}: {repaired}");
        }
        assert_eq!(repair(&path, program).expect("repaired"), [""; 0]);
        let text = fs::read_to_string(pre_receive).expect("read");
        assert!(text.ends_with("exec '/opt/it'\\''s/refgate' hook pre-receive\n"), "{text}");
    }
}

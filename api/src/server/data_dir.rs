//! The data directory: who holds it, and the first administrator's token.
//!
//! `config.git` inside it belongs to the core; beside it lie `lock`, held while the process lives,
//! and `admin-token`, a generated token in clear for the owner of the directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use refgate_core::repository::Repository;

use crate::auth::{ADMIN, Access, TOKENS_FILE, Token, TokenError};

/// A data directory that no other process uses.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// The operating system gives the lock back when the process ends, however it ends.
    _lock: File,
}

/// Where the administrator's token came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenOrigin {
    /// It was given from outside, or is in the repository already.
    Known,
    /// It is new; this is the only time that it is shown.
    Generated(Token),
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// A second process wants it.
    #[error(
        "the data directory {} is in use by another refgate process{}",
        path.display(),
        pid_text(*pid)
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process that holds it, when it said so.
        pid: Option<u32>,
    },
    /// A file or directory could not be made, read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file with the administrator's token holds something else.
    #[error("{} does not hold a token; remove it to keep the token that is known", path.display())]
    BadTokenFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TokenError,
    },
    /// The access data of the repository cannot be read or written.
    #[error("cannot use the access data of the repository")]
    Access(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn pid_text(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

impl DataDir {
    /// Makes the directory where needed and takes it for this process.
    ///
    /// # Errors
    /// When another process has it or the file system refuses.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        // Only the owner: the repository holds hashes of tokens, and admin-token a token.
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(io_error("create the data directory", path))?;
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(io_error("open the lock file", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = lock.read_to_string(&mut text);
                let pid = text.trim().parse().ok();
                return Err(DataDirError::InUse { path: path.to_owned(), pid });
            }
            Err(TryLockError::Error(source)) => {
                return Err(io_error("lock", &lock_path)(source));
            }
        }
        write_pid(&mut lock).map_err(io_error("write the lock file", &lock_path))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The configuration repository.
    #[must_use]
    pub fn repository_path(&self) -> PathBuf {
        self.path.join("config.git")
    }

    /// The file of a generated token.
    #[must_use]
    pub fn token_path(&self) -> PathBuf {
        self.path.join("admin-token")
    }

    /// Who may do what, with an administrator among them.
    ///
    /// The administrator's token is, first to last: the one given from outside; the one in
    /// `admin-token`, so that the owner of the directory always gets in; the one that the
    /// repository knows; a new one.
    ///
    /// # Errors
    /// When a token file or the access data cannot be read or written.
    pub fn access(
        &self,
        repository: &Repository,
        given: Option<&Token>,
    ) -> Result<(Access, TokenOrigin), DataDirError> {
        let stored = repository.access_read(TOKENS_FILE).map_err(access_error)?;
        let mut access = match stored {
            Some(bytes) => Access::from_file(&bytes).map_err(access_error)?,
            None => Access::default(),
        };
        let kept = self.read_token()?;
        let (token, origin) = match (given, kept) {
            (Some(token), kept) => {
                if kept.is_some_and(|kept| kept != *token) {
                    // A token that opens nothing any more only misleads whoever finds it.
                    let path = self.token_path();
                    fs::remove_file(&path).map_err(io_error("remove", &path))?;
                }
                (Some(token.clone()), TokenOrigin::Known)
            }
            (None, Some(kept)) => (Some(kept), TokenOrigin::Known),
            (None, None) if access.has(ADMIN) => (None, TokenOrigin::Known),
            (None, None) => {
                // The file comes before the hash: a crash between the two leaves a token that
                // the next start takes up, never a hash whose token nobody has seen.
                let token = Token::generate();
                self.write_token(&token)?;
                (Some(token.clone()), TokenOrigin::Generated(token))
            }
        };
        let now = jiff::Timestamp::now();
        let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        if token.is_some_and(|token| access.set_admin(token.hash(), &now)) {
            repository.access_write(TOKENS_FILE, &access.to_file()).map_err(access_error)?;
        }
        Ok((access, origin))
    }

    fn read_token(&self) -> Result<Option<Token>, DataDirError> {
        let path = self.token_path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io_error("read", &path)(source)),
        };
        let token = Token::parse(text.trim());
        token.map(Some).map_err(|source| DataDirError::BadTokenFile { path, source })
    }

    fn write_token(&self, token: &Token) -> Result<(), DataDirError> {
        let path = self.token_path();
        let write = || {
            // Written aside and renamed: the file is there whole or not at all.
            let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
            writeln!(file, "{}", token.reveal())?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(io_error("write", &path))
    }
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    let path = path.to_owned();
    move |source| DataDirError::Io { doing, path, source }
}

fn access_error(error: impl std::error::Error + Send + Sync + 'static) -> DataDirError {
    DataDirError::Access(Box::new(error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn one_process_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let held = DataDir::open(&path).unwrap();
        let refused = DataDir::open(&path).unwrap_err().to_string();
        assert!(refused.contains(path.to_str().unwrap()), "{refused}");
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(held);
        DataDir::open(&path).unwrap();
    }

    fn open_repository(data_dir: &DataDir) -> Result<Repository, refgate_core::Error> {
        let clock = std::sync::Arc::new(jiff::Timestamp::now);
        Repository::open_or_create(&data_dir.repository_path(), clock)
    }

    #[test]
    fn the_administrators_token() {
        let root = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(root.path()).unwrap();
        let repository = open_repository(&data_dir).unwrap();

        let (_, origin) = data_dir.access(&repository, None).unwrap();
        let TokenOrigin::Generated(first) = origin else { unreachable!("{origin:?}") };
        let mode = fs::metadata(data_dir.token_path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let (access, origin) = data_dir.access(&repository, None).unwrap();
        assert_eq!(origin, TokenOrigin::Known, "printed once");
        assert!(access.identify(first.reveal()).is_some());

        let chosen = Token::parse("chosen-by-a-person").unwrap();
        let (access, _) = data_dir.access(&repository, Some(&chosen)).unwrap();
        assert!(access.identify(chosen.reveal()).is_some());
        assert!(access.identify(first.reveal()).is_none());
        assert!(!data_dir.token_path().exists(), "the stale token is gone");

        let (access, _) = data_dir.access(&repository, None).unwrap();
        assert!(access.identify(chosen.reveal()).is_some(), "the repository knows it");

        fs::write(data_dir.token_path(), "not a token").unwrap();
        assert!(matches!(
            data_dir.access(&repository, None),
            Err(DataDirError::BadTokenFile { .. })
        ));
    }
}

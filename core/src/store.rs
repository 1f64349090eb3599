//! The git repository of a configuration: objects, refs, commits, and how it is opened.
//!
//! Who may write what and when is the business of [`crate::repository`].

pub(crate) mod commit;
mod durable;
pub(crate) mod git;
pub(crate) mod guard;
mod loose;
pub(crate) mod objects;
pub(crate) mod quarantine;
mod reader;
pub(crate) mod refs;
pub(crate) mod stale;
pub(crate) mod tree;
pub(crate) mod turn;
pub(crate) mod wide;

use std::path::{Path, PathBuf};

use git2::{Repository, RepositoryInitOptions};

pub use git::{GitError, GitProtocol, GitService, GitStage, GitTransport, MAX_PUSH_BYTES};
pub use reader::GroupReader;

/// Why the repository could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// libgit2 says so.
    #[error("the configuration repository cannot be used: {}", .0.message())]
    Git(#[from] git2::Error),
    /// Something in the repository is not as Refgate or git leave it.
    #[error("the configuration repository is damaged: {0}")]
    Damaged(String),
    /// The file system says so.
    #[error("the configuration repository cannot be used: {0}")]
    Io(#[from] std::io::Error),
    /// A lock is in the way that did not go while this waited.
    #[error(
        "{} is locked: {} is held by another process, or was left by one that was killed; when no git process works on the repository any more, remove that file (a restart does it too)",
        what, lock.display()
    )]
    Locked {
        /// The ref.
        what: String,
        /// The lock.
        lock: PathBuf,
    },
    /// A file could not be written.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What was said to the first of several who asked at once.
    #[error("{0}")]
    Same(String),
    /// The disposable index says so.
    #[error("the index beside the configuration repository cannot be used: {0}")]
    Index(#[from] rusqlite::Error),
}

/// What to do about an object that is not as it should be.
const REMEDY: &str =
    "`refgate check` tells all that is damaged, and a clone or a backup has the object";

impl StoreError {
    /// What is damaged and what to do, when the error is about an object and not about the machine.
    pub(crate) fn damage(&self) -> Option<String> {
        use git2::ErrorClass::{Object, Odb, Tag, Tree, Zlib};
        match self {
            Self::Damaged(what) => Some(what.clone()),
            Self::Git(error) if matches!(error.class(), Object | Odb | Tag | Tree | Zlib) => {
                Some(format!("{}; {REMEDY}", error.message()))
            }
            _ => None,
        }
    }
}

/// Why a repository could not be opened or made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing is there.
    #[error("there is no repository at {}", .0.display())]
    Absent(PathBuf),
    /// A repository, but not one of ours.
    #[error(
        "{} is a git repository, but not a Refgate configuration: it lacks refgate.formatversion in its git configuration",
        .0.display()
    )]
    NotOurs(PathBuf),
    /// Something is there that is no repository.
    #[error("{} is not a git repository: {reason}", path.display())]
    NotARepository {
        /// The place.
        path: PathBuf,
        /// What libgit2 says.
        reason: String,
    },
    /// It was made by a later version of Refgate.
    #[error("{} has format {found}; this version of Refgate knows {FORMAT}", path.display())]
    NewerFormat {
        /// The place.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// It is ours but cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The format of the repository, in its git configuration as `refgate.formatVersion`.
const FORMAT: i64 = 1;

/// Opens a repository of ours.
pub(crate) fn open_repository(path: &Path) -> Result<Repository, OpenError> {
    if !path.exists() {
        return Err(OpenError::Absent(path.to_owned()));
    }
    let repository = Repository::open_bare(path).map_err(|error| OpenError::NotARepository {
        path: path.to_owned(),
        reason: error.message().to_owned(),
    })?;
    let format = repository
        .config()
        .and_then(|mut config| config.snapshot())
        .and_then(|config| config.get_i64("refgate.formatversion"));
    match format {
        Ok(FORMAT) => Ok(repository),
        Ok(found) => Err(OpenError::NewerFormat { path: path.to_owned(), found }),
        Err(_) => Err(OpenError::NotOurs(path.to_owned())),
    }
}

pub(crate) use durable::enable_fsync;
pub(crate) use guard::PROTECTION;

/// Opens a repository of ours for writing.
pub(crate) fn open_for_writing(path: &Path) -> Result<Repository, OpenError> {
    enable_fsync()?;
    let repository = open_repository(path)?;
    stale::release(path).map_err(StoreError::from)?;
    quarantine::sweep(path);
    loose::prepare(path).map_err(StoreError::from)?;
    Ok(repository)
}

/// Makes an empty repository of ours at `path`, where nothing may be but an empty folder.
///
/// It comes into being whole: it is made beside its place and moved there.
pub(crate) fn create_repository(path: &Path) -> Result<(), OpenError> {
    enable_fsync()?;
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(StoreError::from)?;
    let made =
        tempfile::Builder::new().prefix(".config-").tempdir_in(parent).map_err(StoreError::from)?;
    configure(made.path()).map_err(StoreError::from)?;
    let made = made.keep();
    std::fs::rename(&made, path).map_err(StoreError::from)?;
    std::fs::File::open(parent).and_then(|folder| folder.sync_all()).map_err(StoreError::from)?;
    Ok(())
}

fn configure(path: &Path) -> Result<(), git2::Error> {
    let mut options = RepositoryInitOptions::new();
    options.bare(true).no_reinit(true).external_template(false).initial_head("test");
    let mut config = Repository::init_opts(path, &options)?.config()?;
    config.set_i64("refgate.formatversion", FORMAT)?;
    config.set_i32("core.repositoryformatversion", 1)?;
    for (key, value) in PROTECTION {
        config.set_str(key, value)?;
    }
    // Branches only ever grow: a log of their moves would say what they say.
    config.set_bool("core.logallrefupdates", false)?;
    Ok(())
}

//! The two programs of git that speak with a client: one gives what a repository has, the other
//! takes what is pushed.
//!
//! Here they are only made ready. Who starts them, feeds them and ends them knows the client.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Git, GitError, bare_command};
use crate::store::PROTECTION;

/// How many bytes a push may have where the repository says nothing else: 128 MiB. A configuration
/// with its history is far smaller; what is larger is no configuration.
pub const MAX_PUSH_BYTES: u64 = 128 << 20;

/// One repository as its clients reach it, once it is known that there is a git that can serve it.
#[derive(Debug, Clone)]
pub struct GitTransport {
    repository: PathBuf,
}

/// One of the two programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GitService {
    /// Gives: clone and fetch.
    UploadPack,
    /// Takes: push.
    ReceivePack,
}

impl GitService {
    /// The service that a client asks for by this name, such as `git-upload-pack`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "git-upload-pack" => Some(Self::UploadPack),
            "git-receive-pack" => Some(Self::ReceivePack),
            _ => None,
        }
    }

    /// As git calls it, without `git-`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "upload-pack",
            Self::ReceivePack => "receive-pack",
        }
    }
}

/// What is asked of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitStage {
    /// To say which refs there are, and what it can do.
    Advertise,
    /// To answer one request.
    Answer,
}

/// The version of the protocol that a client asks for. There are no others: what a client sends is
/// compared with these and never passed on as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitProtocol {
    /// The first one, which is also spoken when nothing is asked for.
    V0,
    /// The same with a line that says so.
    V1,
    /// The one in which only the refs that a client wants are told.
    V2,
}

impl GitProtocol {
    /// What the text of a `Git-Protocol` header asks for; what is not understood is the first one.
    #[must_use]
    pub fn asked(header: Option<&str>) -> Self {
        match header {
            Some("version=1") => Self::V1,
            Some("version=2") => Self::V2,
            _ => Self::V0,
        }
    }

    fn variable(self) -> Option<&'static str> {
        match self {
            Self::V0 => None,
            Self::V1 => Some("version=1"),
            Self::V2 => Some("version=2"),
        }
    }
}

impl GitTransport {
    /// git before the repository at `path`.
    ///
    /// # Errors
    /// When there is no git, or none that is new enough. Starts a process and blocks for it.
    pub fn new(path: &Path) -> Result<Self, GitError> {
        let git = Git::for_repository(path)?;
        // git takes a relative path for one below its own directory.
        Ok(Self { repository: std::path::absolute(git.repository)? })
    }

    /// How many bytes one push may have: `receive.maxInputSize` of the repository where it is set
    /// to more than nothing, else [`MAX_PUSH_BYTES`]. Blocks for a small file.
    ///
    /// # Errors
    /// When the settings of the repository cannot be read.
    pub fn max_push_bytes(&self) -> Result<u64, GitError> {
        let config = git2::Config::open(&self.repository.join("config"))
            .and_then(|config| config.get_i64("receive.maxinputsize"));
        match config {
            Ok(bytes) => Ok(u64::try_from(bytes).ok().filter(|b| *b > 0).unwrap_or(MAX_PUSH_BYTES)),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(MAX_PUSH_BYTES),
            Err(error) => Err(GitError::Io(std::io::Error::other(error))),
        }
    }

    /// The program, ready to be started: it reads a request from its standard input and answers on
    /// its standard output. It has nothing of this process's environment but `PATH`; hooks get what
    /// it gets. `max_push_bytes` counts for a push only.
    #[must_use]
    pub fn command(
        &self,
        service: GitService,
        stage: GitStage,
        protocol: GitProtocol,
        max_push_bytes: u64,
    ) -> Command {
        let mut command = bare_command();
        if let Some(version) = protocol.variable() {
            command.env("GIT_PROTOCOL", version);
        }
        for (key, value) in PROTECTION.iter().chain(SETTINGS) {
            command.arg("-c").arg(format!("{key}={value}"));
        }
        command.arg("-c").arg(format!("receive.maxInputSize={max_push_bytes}"));
        command.arg(service.name());
        if service == GitService::UploadPack {
            // This repository and no other whose path happens to begin like it.
            command.arg("--strict");
        }
        // One request, one answer, and then it ends: what is between two requests the client keeps.
        command.arg("--stateless-rpc");
        if stage == GitStage::Advertise {
            command.arg("--advertise-refs");
        }
        command.arg(&self.repository);
        command
    }
}

/// What holds for every client that comes this way, besides [`PROTECTION`] and whatever stands in the
/// repository.
const SETTINGS: &[(&str, &str)] = &[
    // The repository is named by this process, not found: it is ours whoever owns its files.
    ("safe.directory", "*"),
    // Only what a ref leads to is asked for.
    ("uploadpack.allowAnySHA1InWant", "false"),
    // A configuration is small: part of one is not worth a search of all objects.
    ("uploadpack.allowFilter", "false"),
    ("receive.advertiseAtomic", "true"),
    // A sign of life while hooks work, in seconds.
    ("receive.keepAlive", "5"),
    ("uploadpack.keepAlive", "5"),
    // The gateways of this machine have the other processors.
    ("pack.threads", "1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_one_of_three() {
        for (header, protocol) in [
            (None, GitProtocol::V0),
            (Some("version=0"), GitProtocol::V0),
            (Some("version=1"), GitProtocol::V1),
            (Some("version=2"), GitProtocol::V2),
            (Some("version=2:x=y"), GitProtocol::V0),
            (Some("version=2\n"), GitProtocol::V0),
            (Some("$(id)"), GitProtocol::V0),
        ] {
            assert_eq!(GitProtocol::asked(header), protocol, "{header:?}");
        }
    }

    #[test]
    fn the_environment_is_named_whole() {
        let transport = GitTransport { repository: PathBuf::from("/srv/config.git") };
        let command =
            transport.command(GitService::ReceivePack, GitStage::Answer, GitProtocol::V2, 7);
        let names: Vec<_> = command
            .get_envs()
            .filter(|(_, value)| value.is_some())
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect();
        let known = [
            "GIT_CONFIG_GLOBAL",
            "GIT_CONFIG_NOSYSTEM",
            "GIT_PROTOCOL",
            "HOME",
            "LC_ALL",
            "PATH",
            "XDG_CONFIG_HOME",
        ];
        assert_eq!(names, known);
        let arguments: Vec<_> = command.get_args().map(|one| one.to_string_lossy()).collect();
        assert!(arguments.contains(&"receive.maxInputSize=7".into()));
        let asked = ["receive-pack", "--stateless-rpc", "/srv/config.git"];
        assert!(arguments.ends_with(&asked.map(Into::into)), "{arguments:?}");
    }

    #[test]
    fn the_limit_of_a_push_is_the_repositorys() {
        let directory = tempfile::tempdir().unwrap();
        let transport = GitTransport { repository: directory.path().to_owned() };
        let config = directory.path().join("config");
        for (text, bytes) in [
            ("", MAX_PUSH_BYTES),
            ("[receive]\n\tmaxInputSize = 0\n", MAX_PUSH_BYTES),
            ("[receive]\n\tmaxInputSize = 2m\n", 2 << 20),
        ] {
            std::fs::write(&config, text).unwrap();
            assert_eq!(transport.max_push_bytes().unwrap(), bytes, "{text:?}");
        }
    }
}

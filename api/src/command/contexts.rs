//! Servers and tokens that a user keeps: a file of its own, for nobody else to read.
//!
//! The file holds tokens, so one that others can read is refused as ssh refuses a key. Which of
//! its entries counts for a command is decided in [`Connection::resolve`].

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::args::Connection;
use super::failure::Failure;
use crate::client::server::{ServerUrl, Token};

/// The control plane of this machine, where nothing else is said.
const HERE: &str = "http://127.0.0.1:7080";

/// The name that a server is kept under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContextName(String);

impl ContextName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContextName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte);
        match (1..=253).contains(&text.len()) && text.bytes().all(plain) {
            true if !text.starts_with('-') => Ok(Self(text.to_owned())),
            _ => Err("a name has letters, digits, '-', '_', '.' and ':'"),
        }
    }
}

impl std::fmt::Display for ContextName {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

/// A server and what opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Where it is.
    pub server: ServerUrl,
    /// What opens it, where something does.
    pub token: Option<Token>,
}

/// What a user keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contexts {
    /// The one that counts where none is named.
    pub current: Option<ContextName>,
    /// All of them.
    pub all: BTreeMap<ContextName, Context>,
}

/// Why servers and tokens cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum ContextsError {
    /// Neither `XDG_CONFIG_HOME` nor `HOME` says where.
    #[error(
        "there is no home directory to keep servers and tokens in: name a file with --contexts"
    )]
    NoHome,
    /// The file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others can read the tokens in it.
    #[error("{} holds tokens and others can read it: chmod 600 {}", .0.display(), .0.display())]
    Exposed(PathBuf),
    /// It is not what `refgate login` wrote.
    #[error("{}: {reason}; remove it and log in again", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing is kept under this name.
    #[error("there is no context {name}: `refgate login --list` shows those that there are")]
    Unknown {
        /// The name.
        name: ContextName,
    },
}

/// The file as it is written.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    current: Option<String>,
    contexts: BTreeMap<String, Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    server: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl Contexts {
    /// Reads what is kept; nothing where there is no file.
    ///
    /// # Errors
    /// When the file cannot be read, or others can read it.
    pub fn load(path: &Path) -> Result<Self, ContextsError> {
        let failed = |source| ContextsError::Read { path: path.to_owned(), source };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error)),
        };
        if fs::metadata(path).map_err(failed)?.permissions().mode() & 0o077 != 0 {
            return Err(ContextsError::Exposed(path.to_owned()));
        }
        Self::parse(&text)
            .map_err(|reason| ContextsError::Damaged { path: path.to_owned(), reason })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut all = BTreeMap::new();
        for (name, entry) in file.contexts {
            let server = entry.server.parse().map_err(|error| format!("{name}: {error}"))?;
            let token = entry.token.map(|token| token.parse()).transpose();
            let token = token.map_err(|error| format!("{name}: {error}"))?;
            all.insert(name.parse()?, Context { server, token });
        }
        Ok(Self { current: file.current.map(|name| name.parse()).transpose()?, all })
    }

    /// Writes it, whole or not at all, for this user alone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ContextsError> {
        let entry = |(name, context): (&ContextName, &Context)| {
            let token = context.token.as_ref().map(|token| token.reveal().to_owned());
            (name.to_string(), Entry { server: context.server.to_string(), token })
        };
        let file = File {
            current: self.current.as_ref().map(ToString::to_string),
            contexts: self.all.iter().map(entry).collect(),
        };
        let write = || -> io::Result<()> {
            let folder = match path.parent() {
                Some(folder) if folder != Path::new("") => folder,
                _ => Path::new("."),
            };
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            // A new temporary file is readable for its owner alone, and so is what it becomes.
            let mut new = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer_pretty(&mut new, &file)?;
            new.write_all(b"\n")?;
            new.as_file().sync_all()?;
            new.persist(path)?;
            Ok(())
        };
        write().map_err(|source| ContextsError::Write { path: path.to_owned(), source })
    }

    /// The one of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(&self, name: &ContextName) -> Result<&Context, ContextsError> {
        self.all.get(name).ok_or_else(|| ContextsError::Unknown { name: name.clone() })
    }
}

impl Connection {
    /// The file of servers and tokens.
    ///
    /// # Errors
    /// When nobody says where it is.
    pub fn contexts_file(&self) -> Result<PathBuf, ContextsError> {
        if let Some(path) = &self.contexts {
            return Ok(path.clone());
        }
        let directory = |name: &str| {
            std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
        };
        let config = directory("XDG_CONFIG_HOME")
            .or_else(|| directory("HOME").map(|home| home.join(".config")));
        Ok(config.ok_or(ContextsError::NoHome)?.join("refgate").join("contexts.json"))
    }

    /// Which server is asked, and with which token.
    ///
    /// A context that is named counts before everything else. Else a token that is kept goes to
    /// the server that it is kept for and to no other.
    ///
    /// # Errors
    /// When what is kept has to be read and cannot be.
    pub fn resolve(&self) -> Result<(ServerUrl, Option<Token>), Failure> {
        let token = self.token.as_ref().and_then(|given| given.0.clone());
        if let (None, Some(server), Some(token)) = (&self.context, &self.server, &token) {
            return Ok((server.clone(), Some(token.clone())));
        }
        let contexts = match self.contexts_file() {
            Ok(path) => Contexts::load(&path)?,
            // Whoever has no home keeps nothing.
            Err(ContextsError::NoHome) => Contexts::default(),
            Err(error) => return Err(error.into()),
        };
        if let Some(name) = &self.context {
            let context = contexts.named(name)?;
            return Ok((context.server.clone(), context.token.clone()));
        }
        let current = contexts.current.as_ref().and_then(|name| contexts.all.get(name));
        let context = match &self.server {
            None => current,
            // Two names for one server: the one in use counts.
            Some(server) => {
                let mut candidates = current.into_iter().chain(contexts.all.values());
                candidates.find(|context| context.server == *server)
            }
        };
        let server = match (&self.server, context) {
            (Some(server), _) => server.clone(),
            (None, Some(context)) => context.server.clone(),
            (None, None) => HERE.parse().map_err(|_| Failure::Usage(HERE.to_owned()))?,
        };
        Ok((server, token.or_else(|| context.and_then(|context| context.token.clone()))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::GivenToken;
    use super::*;
    use crate::output::Format;

    fn connection(path: &Path, line: &str) -> Connection {
        let mut connection = Connection {
            server: None,
            token: None,
            context: None,
            contexts: Some(path.to_owned()),
            output: Format::Table,
        };
        for (flag, value) in line.split_whitespace().filter_map(|word| word.split_once('=')) {
            match flag {
                "server" => connection.server = value.parse().ok(),
                "token" => connection.token = Some(GivenToken(value.parse().ok())),
                _ => connection.context = value.parse().ok(),
            }
        }
        connection
    }

    fn kept() -> Contexts {
        let context = |server: &str, token: Option<&str>| Context {
            server: server.parse().unwrap(),
            token: token.map(|token| token.parse().unwrap()),
        };
        Contexts {
            current: "main".parse().ok(),
            all: BTreeMap::from([
                ("main".parse().unwrap(), context("https://main.test", Some("rg_main"))),
                ("other".parse().unwrap(), context("https://other.test", Some("rg_other"))),
                ("open".parse().unwrap(), context("https://open.test", None)),
            ]),
        }
    }

    #[test]
    fn which_server_and_token_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/contexts.json");
        assert_eq!(Contexts::load(&path).unwrap(), Contexts::default());
        let alone = connection(&path, "").resolve().unwrap();
        assert_eq!((alone.0.to_string().as_str(), alone.1.is_none()), (HERE, true));
        kept().save(&path).unwrap();
        assert_eq!(Contexts::load(&path).unwrap(), kept());
        let table = [
            ("", "https://main.test", Some("rg_main")),
            ("token=rg_x", "https://main.test", Some("rg_x")),
            ("token=", "https://main.test", Some("rg_main")),
            ("context=other", "https://other.test", Some("rg_other")),
            (
                "context=other token=rg_x server=https://main.test",
                "https://other.test",
                Some("rg_other"),
            ),
            ("context=open token=rg_x", "https://open.test", None),
            ("server=https://other.test", "https://other.test", Some("rg_other")),
            ("server=https://new.test", "https://new.test", None),
            ("server=https://new.test token=rg_x", "https://new.test", Some("rg_x")),
        ];
        for (line, server, token) in table {
            let (found, opens) = connection(&path, line).resolve().unwrap();
            assert_eq!(found.to_string(), server, "{line}");
            assert_eq!(opens.as_ref().map(Token::reveal), token, "{line}");
        }
        let unknown = connection(&path, "context=gone").resolve().unwrap_err();
        assert_eq!(unknown.exit_code(), super::super::failure::USAGE);
    }

    #[test]
    fn the_file_is_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("contexts.json");
        kept().save(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Contexts::load(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        kept().save(&path).unwrap();
        assert!(Contexts::load(&path).is_ok());
        for text in [
            "",
            "{}",
            r#"{"contexts": {"a": {"server": "x"}}}"#,
            r#"{"contexts": {"a b": {"server": "http://x"}}}"#,
        ] {
            fs::write(&path, text).unwrap();
            let error = Contexts::load(&path).unwrap_err();
            assert!(matches!(error, ContextsError::Damaged { .. }), "{text}: {error}");
        }
    }
}

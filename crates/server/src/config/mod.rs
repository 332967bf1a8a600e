//! The configuration file: how a server is started, and which servers it knows by name.
//!
//! Servers and commands read the same file. An unknown member is an error, so that a misspelt one is not silently
//! ignored. Relative paths in it start where the file is. It must not know which flags there are.
//!
//! ```toml
//! [server]
//! port = 8443
//!
//! [limits]
//! max_body = 64
//!
//! [peers.dev]
//! url = "https://dev.example:8443"
//! token_file = "dev.token"
//! ca_file = "dev-ca.pem"
//! ```

pub(crate) mod settings;
pub(crate) mod shown;
mod url;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use dede_engine::name::PeerName;
use serde::Deserialize;
use serde::de::IgnoredAny;

pub(crate) use self::url::PeerUrl;

/// Largest file, bytes.
const LIMIT: u64 = 1 << 20;

/// A server of the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// What it is called here.
    pub(crate) name: PeerName,
    /// Where it is.
    pub(crate) url: PeerUrl,
    /// File with the token it wants; read when it is talked to.
    pub(crate) token_file: Option<PathBuf>,
    /// Certificates that vouch for it, instead of the well-known ones.
    pub(crate) ca_file: Option<PathBuf>,
    /// The token may go to it over plain http.
    pub(crate) plain_http: bool,
}

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Configuration {
    peers: BTreeMap<PeerName, Peer>,
}

/// The file as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    /// Where it is; `None` where there is none.
    pub(crate) path: Option<PathBuf>,
    text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Read by [`settings`], which knows the flags.
    #[serde(default, rename = "server")]
    _server: IgnoredAny,
    #[serde(default, rename = "limits")]
    _limits: IgnoredAny,
    #[serde(default)]
    peers: BTreeMap<PeerName, WrittenPeer>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPeer {
    url: PeerUrl,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    plain_http: bool,
}

impl ConfigFile {
    /// Reads `file`, or the file of this user where none is named; that one need not be there.
    ///
    /// # Errors
    /// A sentence naming the file.
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, String> {
        let default = default_file();
        let Some(path) = file.or(default.as_deref()) else { return Ok(Self::default()) };
        let missing_is_fine = file.is_none();
        let unreadable = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_string(&mut text));
        match read {
            Ok(read) if read as u64 > LIMIT => {
                return Err(format!("{}: expected at most {LIMIT} bytes, found more", path.display()));
            }
            Ok(_) => {}
            Err(error) if missing_is_fine && error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unreadable(error)),
        }
        Ok(Self { path: Some(path.to_owned()), text })
    }

    /// Where relative paths in it start.
    fn directory(&self) -> &Path {
        self.path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""))
    }

    /// The file and a place in it, for people.
    fn at(&self, byte: usize) -> String {
        let path = self.path.as_deref().unwrap_or(Path::new(""));
        format!("{}, line {}", path.display(), self.line(byte))
    }

    /// The line of a byte, from 1 on.
    fn line(&self, byte: usize) -> usize {
        self.text.get(..byte.min(self.text.len())).unwrap_or_default().matches('\n').count() + 1
    }

    /// File, line, key and reason, but no value: it may be a secret.
    fn located(&self, error: &toml::de::Error) -> String {
        let path = self.path.as_deref().unwrap_or(Path::new(""));
        let Some(span) = error.span() else { return format!("{}: {}", path.display(), error.message()) };
        let line = self.text.lines().nth(self.line(span.start) - 1).unwrap_or_default();
        let is_of_a_key = |character: char| character.is_ascii_alphanumeric() || "_-.[]".contains(character);
        let key = line.trim_start().split(|character| !is_of_a_key(character)).next().unwrap_or_default();
        format!("{}, {key}: {}", self.at(span.start), error.message())
    }
}

impl Configuration {
    /// Reads `file`, or the file of this user where none is named; that one need not be there.
    ///
    /// # Errors
    /// A sentence with file, line and key.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, String> {
        Self::of(&ConfigFile::read(file)?)
    }

    /// What a file says.
    ///
    /// # Errors
    /// A sentence with file, line and key.
    pub(crate) fn of(file: &ConfigFile) -> Result<Self, String> {
        let written: Written = toml::from_str(&file.text).map_err(|error| file.located(&error))?;
        let directory = file.directory();
        let peers = written.peers.into_iter().map(|(name, peer)| (name.clone(), peer.beside(directory, name)));
        Ok(Self { peers: peers.collect() })
    }

    /// The peer of this name.
    ///
    /// # Errors
    /// A sentence with the names there are.
    pub(crate) fn peer(&self, name: &str) -> Result<&Peer, String> {
        let found = PeerName::parse(name).ok().and_then(|name| self.peers.get(&name));
        found.ok_or_else(|| format!("{name:?} is no peer of the configuration; {}", self.names()))
    }

    /// The peer at this URL. Only peers may be fetched from: a client cannot choose another address.
    ///
    /// # Errors
    /// A sentence with the names there are.
    pub(crate) fn peer_at(&self, url: &str) -> Result<&Peer, String> {
        let wanted = PeerUrl::parse(url)?;
        let found = self.peers.values().find(|peer| peer.url == wanted);
        found.ok_or_else(|| format!("{wanted} is no peer of the configuration; {}", self.names()))
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.peers.keys().map(ToString::to_string).collect();
        if names.is_empty() { "there are none".to_owned() } else { format!("these are: {}", names.join(", ")) }
    }

    /// All peers, by name.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }
}

impl WrittenPeer {
    fn beside(self, directory: &Path, name: PeerName) -> Peer {
        let absolute = |path: PathBuf| directory.join(path);
        Peer {
            name,
            url: self.url,
            token_file: self.token_file.map(absolute),
            ca_file: self.ca_file.map(absolute),
            plain_http: self.plain_http,
        }
    }
}

fn default_file() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(base.join("dede/dede.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> (tempfile::TempDir, Result<Configuration, String>) {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("dede.toml");
        std::fs::write(&file, text).expect("written");
        let loaded = Configuration::load(Some(&file));
        (directory, loaded)
    }

    #[test]
    fn peers_are_read_and_found() {
        let (directory, loaded) = load(
            "# servers\n[peers.dev]\nurl = \"http://Dev:8080/\"\ntoken_file = \"dev.token\"\nplain_http = true\n\
             [peers.prod-1]\nurl = \"https://prod/dede\"\nca_file = \"/etc/ca.pem\"\n",
        );
        let loaded = loaded.expect("good");
        let peers: Vec<&Peer> = loaded.peers().collect();
        assert_eq!(peers.len(), 2);
        assert_eq!(peers[0].token_file, Some(directory.path().join("dev.token")));
        assert_eq!((peers[0].plain_http, peers[1].plain_http), (true, false));
        assert_eq!(peers[1].ca_file, Some(PathBuf::from("/etc/ca.pem")));
        assert_eq!(loaded.peer("dev"), Ok(peers[0]));
        assert_eq!(loaded.peer_at("http://dev:8080"), Ok(peers[0]));
        assert_eq!(loaded.peer_at("https://PROD:443/dede/"), Ok(peers[1]));
        for wrong in ["https://dev:8080", "http://dev", "http://dev:8080/x", "https://prod", "https://prod/dede/x", "x"]
        {
            assert!(loaded.peer_at(wrong).is_err(), "{wrong}");
        }
        let reason = loaded.peer("prod").expect_err("no such peer");
        assert!(reason.contains("dev, prod-1"), "{reason}");
    }

    #[test]
    fn mistakes_are_located_and_values_not_repeated() {
        for (text, expected) in [
            ("[peers.dev]\nurl = \"http://dev\"\ntoken = \"s3cret\"\n", "line 3, token: unknown field `token`"),
            ("[peers.dev]\nurl = 3\n", "line 2, url: invalid type"),
            ("[peers.dev]\nurl = \"http://u:s3cret@dev\"\n", "line 2, url: expected a URL without a user"),
            ("[peers.dev]\nplain_http = true\n", "line 1, [peers.dev]: missing field `url`"),
            ("[peers.\"a/b\"]\nurl = \"http://dev\"\n", "a peer's name"),
            ("[peer.dev]\nurl = \"http://dev\"\n", "unknown field `peer`, expected one of `server`, `limits`, `peers`"),
            ("[peers.dev]\nurl = \"http://dev\"\nurl = \"http://s3cret\"\n", "line 3, url: duplicate key"),
            ("[peers.dev\n", "line 1"),
        ] {
            let reason = load(text).1.expect_err(text);
            assert!(reason.contains(expected) && reason.contains("dede.toml"), "{reason} has no {expected}");
            assert!(!reason.contains("s3cret"), "{reason}");
        }
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let reason = Configuration::load(Some(Path::new("/nonexistent/dede.toml"))).expect_err("missing");
        assert!(reason.contains("cannot read /nonexistent/dede.toml"), "{reason}");
        assert_eq!(load("").1, Ok(Configuration::default()));
    }
}

//! A real server process on a free port, with a directory of its own; it ends with the test.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use dede_testing::http::{Connection, Response};
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything a process does: what takes seconds here takes a minute on a machine with much other work.
const PATIENCE: Duration = Duration::from_secs(240);

/// The binary that is tested: the one built with the tests, or another that `DEDE_TEST_BINARY` names. With one that was built before a
/// repair, the test of the repair has to fail.
pub(crate) fn binary() -> OsString {
    std::env::var_os("DEDE_TEST_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_dede").into())
}

pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    directory: TempDir,
}

impl Server {
    /// Starts `dede serve` on a free port with further arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary directory"), arguments)
    }

    /// As [`Server::start`], with the state that is in `directory`.
    pub(crate) fn start_in(directory: TempDir, arguments: &[&str]) -> Self {
        let spawned = spawn(directory.path(), arguments);
        Self::started(directory, spawned)
    }

    /// As [`Server::start_with_peers`], with a path for its state that begins where the server is started and goes up.
    pub(crate) fn start_on_relative_state(peers: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        write_peers(directory.path(), peers);
        let (mut command, log) = serve(directory.path(), Path::new("below/../state"));
        let child = command.current_dir(directory.path()).spawn().expect("the binary runs");
        Self::started(directory, (child, log))
    }

    fn started(directory: TempDir, (mut child, log): (Child, PathBuf)) -> Self {
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
        let address = line.trim().rsplit(' ').next().and_then(|address| address.parse().ok());
        let Some(address) = address else {
            let _ = child.kill();
            panic!("no server: {line:?}\n{}", std::fs::read_to_string(log).unwrap_or_default());
        };
        Self { child, address, directory }
    }

    /// As [`Server::start`], with these peers in its configuration: name and URL.
    pub(crate) fn start_with_peers(peers: &[(&str, &str)], arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        write_peers(directory.path(), peers);
        Self::start_in(directory, arguments)
    }

    /// The next start knows no peers.
    pub(crate) fn forget_peers(&self) {
        write_peers(self.path(), &[]);
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address).expect("the server listens")
    }

    /// One request on a connection of its own.
    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> Response {
        let sent = self.connect().send(method, path, body.as_bytes());
        sent.unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()))
    }

    /// One request, its status and its JSON.
    pub(crate) fn json(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.send(method, path, &text);
        (response.status, response.json().expect("answers are JSON"))
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(log_file(self.directory.path())).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "signal {name} not sent");
    }

    /// Waits for its end; gives its directory back for a restart.
    pub(crate) fn wait(mut self) -> (ExitStatus, TempDir) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().expect("temporary"));
                return (status, directory);
            }
            assert!(Instant::now() < deadline, "the server does not end\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the configuration that a server started in `directory` reads.
pub(crate) fn write_peers(directory: &Path, peers: &[(&str, &str)]) {
    let text: String = peers.iter().map(|(name, url)| format!("[peers.{name}]\nurl = \"{url}\"\n")).collect();
    let folder = directory.join("config/dede");
    std::fs::create_dir_all(&folder).expect("a directory");
    std::fs::write(folder.join("dede.toml"), text).expect("a file");
}

fn log_file(directory: &Path) -> PathBuf {
    directory.join("server.log")
}

/// Starts the process; its log goes to a file in `directory`, its state is there too.
pub(crate) fn spawn(directory: &Path, arguments: &[&str]) -> (Child, PathBuf) {
    let (mut command, log) = serve(directory, &directory.join("state"));
    (command.args(arguments).spawn().expect("the binary runs"), log)
}

fn serve(directory: &Path, state: &Path) -> (Command, PathBuf) {
    let log = log_file(directory);
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log file");
    let mut command = Command::new(binary());
    command
        .args(["serve", "--port", "0", "--state-dir"])
        .arg(state)
        .env_remove("DEDE_TOKEN_FILE")
        .env("XDG_CONFIG_HOME", directory.join("config"))
        .env_remove("http_proxy")
        .env_remove("HTTP_PROXY")
        .env_remove("all_proxy")
        .env_remove("ALL_PROXY")
        .stdout(Stdio::piped())
        .stderr(file);
    (command, log)
}

/// Waits until `done` says so.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

//! A process that can be held still at a place, killed there, and started again on the same address.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::server::{binary, eventually};

/// Below the ports that systems give to clients, so that a port is still free when its server comes back.
const PORTS: std::ops::Range<u16> = 10_000..30_000;

/// Where a process is held still.
pub(super) struct Hold {
    directory: PathBuf,
}

impl Hold {
    pub(super) fn new(directory: PathBuf) -> Self {
        std::fs::create_dir_all(&directory).unwrap();
        Self { directory }
    }

    pub(super) fn want(&self, place: &str) {
        std::fs::write(self.directory.join("wanted"), place).unwrap();
    }

    pub(super) fn is_reached(&self) -> bool {
        self.directory.join("reached").exists()
    }

    /// Lets a held process go on, and holds none from now on.
    pub(super) fn release(&self) {
        for file in ["wanted", "reached"] {
            let _ = std::fs::remove_file(self.directory.join(file));
        }
    }
}

/// `dede serve` on a port of its own.
pub(super) struct ServerProcess {
    root: PathBuf,
    port: u16,
    child: Option<Child>,
    pub(super) hold: Hold,
    /// Largest file it may write, in blocks of 512 bytes.
    pub(super) largest_file: Option<u64>,
}

impl ServerProcess {
    pub(super) fn start(root: &Path) -> Self {
        let hold = Hold::new(root.join("hold"));
        let mut process = Self { root: root.to_owned(), port: free_port(), child: None, hold, largest_file: None };
        process.restart();
        process
    }

    pub(super) fn restart(&mut self) {
        let mut command = match self.largest_file {
            None => Command::new(binary()),
            Some(blocks) => {
                // An ignored signal stays ignored: writing more is an error, as on a full disk.
                let mut shell = Command::new("sh");
                shell.args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\""]);
                shell.arg(blocks.to_string()).arg(binary());
                shell
            }
        };
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.root.join("server.log")).unwrap();
        command.args(["serve", "--port", &self.port.to_string(), "--state-dir"]).arg(self.state());
        surround(&mut command, &self.root, &self.hold);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.child = Some(child);
        assert!(line.contains("listening"), "no server:\n{}", self.log());
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.hold.release();
    }

    pub(super) fn is_up(&self) -> bool {
        self.child.is_some()
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub(super) fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.root.join("server.log")).unwrap_or_default()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A command of `dede` that runs beside the test.
pub(super) struct CliProcess {
    child: Child,
    pub(super) hold: Hold,
}

impl CliProcess {
    /// Starts a command; `held` is where it is held still.
    pub(super) fn start(root: &Path, arguments: &[String], held: Option<&str>) -> Self {
        let hold = Hold::new(root.join("hold"));
        hold.release();
        if let Some(place) = held {
            hold.want(place);
        }
        let output = std::fs::OpenOptions::new().create(true).append(true).open(root.join("cli.log")).unwrap();
        let mut command = Command::new(binary());
        command.args(arguments);
        surround(&mut command, root, &hold);
        let child = command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
        Self { child, hold }
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(super) fn wait(mut self, what: &str) -> ExitStatus {
        eventually(what, || self.has_ended());
        self.child.wait().unwrap()
    }
}

impl Drop for CliProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.hold.release();
    }
}

/// The environment of each process: the configuration that all share, and where it is held.
fn surround(command: &mut Command, root: &Path, hold: &Hold) {
    let shared = root.parent().unwrap().join("config");
    command.env("XDG_CONFIG_HOME", shared).env("DEDE_FAILPOINTS", &hold.directory).env_remove("DEDE_TOKEN_FILE");
    for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(variable);
    }
}

fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = PORTS.end - PORTS.start;
    let first = u16::try_from(std::process::id() % u32::from(span)).unwrap();
    loop {
        let port = PORTS.start + first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % span;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

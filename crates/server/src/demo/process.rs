//! Processes of this very binary: servers on free loopback ports with directories of their own, and the commands a person types.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::Failure;
use super::api::Api;

/// A running server; it does not outlive the demo.
pub(super) struct Server {
    name: &'static str,
    child: Child,
    pub(super) url: String,
    pub(super) api: Api,
}

impl Server {
    /// Starts a server that knows the peers of `config`, and waits until it says where it listens.
    pub(super) fn start(name: &'static str, directory: &Path, config: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(directory.join(name))?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", "--host", "127.0.0.1", "--port", "0", "--state-dir"])
            .arg(directory.join(name).join("state"))
            .arg("--config")
            .arg(config)
            .env_remove("DEDE_TOKEN_FILE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(directory.join(name).join("errors.log"))?)
            .spawn()?;
        let output = child.stdout.take().ok_or("a server without output")?;
        let mut lines = BufReader::new(output).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| address(&line));
        let Some(address) = address else {
            let errors = fs::read_to_string(directory.join(name).join("errors.log")).unwrap_or_default();
            return Err(format!("the {name} server did not start: {}", errors.trim_end()).into());
        };
        // Whatever else it logs is read and dropped, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        let url = format!("http://{address}");
        Ok(Self { name, child, api: Api::new(&url), url })
    }

    /// Asks it to stop and checks that it stopped cleanly.
    pub(super) fn stop(mut self) -> Result<(), Failure> {
        let sent = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        let status = self.child.wait()?;
        if sent.success() && status.success() {
            return Ok(());
        }
        Err(format!("the {} server ended with {status}", self.name).into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the configuration file that servers and commands share: which servers there are.
pub(super) fn write_peers(config: &Path, servers: &[&Server]) -> Result<(), Failure> {
    let peer = |server: &&Server| format!("[peers.{}]\nurl = \"{}\"\n", server.name, server.url);
    Ok(fs::write(config, servers.iter().map(peer).collect::<String>())?)
}

/// Runs a command of this binary as a person would, its progress and its report where ours are.
pub(super) fn command(words: &[&str], config: &Path) -> Result<(), Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    let status = command.args(words).arg("--config").arg(config).stdin(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("dede {} ended with {status}", words.join(" ")).into()) }
}

/// `… listening on 127.0.0.1:41233` → the address.
fn address(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("listening on ")?;
    Some(rest.split_whitespace().next()?.to_owned())
}

//! What strangers and hostile inputs must not achieve; the numbers are the cases of part (c) of the reference on other servers.

mod bodies;
mod fetching;
mod images;
mod names;
mod pages;
mod peers;
mod processes;
mod repositories;
mod tls;
mod who_may;

use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};

use dede_testing::fixtures;
use dede_testing::http::Response;
use serde_json::{Value, json};

use crate::server::Server;

const ROW: &str = "5.1,3.5,1.4,0.2";

/// One request with further header lines, each ending in a line break.
fn ask(server: &Server, method: &str, path: &str, headers: &str, body: &[u8]) -> Response {
    let host = if headers.to_ascii_lowercase().contains("host:") { "" } else { "Host: localhost\r\n" };
    let head = format!("{method} {path} HTTP/1.1\r\n{host}{headers}Content-Length: {}\r\n\r\n", body.len());
    let sent = server.connect().exchange(&[head.as_bytes(), body].concat());
    sent.unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", server.log()))
}

/// A body that creates a csv service.
fn csv_service(repository: &Path) -> Value {
    json!({"mllib": "caffe", "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
           "model": {"repository": repository}})
}

/// Creates the csv service `iris` on a copy of its repository, which is returned.
fn create_iris(server: &Server) -> PathBuf {
    let repository = fixtures::copy_model("iris", server.path()).unwrap();
    let (status, answer) = server.put("/services/iris", &csv_service(&repository));
    assert_eq!(status, 201, "{answer}");
    repository
}

/// An address of this machine beyond loopback. No packet is sent to find it.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback() && !address.is_unspecified())
}

/// Every path below a directory.
fn tree(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.append(&mut tree(&path));
        }
        found.insert(path);
    }
    found
}

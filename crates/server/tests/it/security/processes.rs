//! Cases 3, 5 and 16: what the process has open.

use std::io::Write as _;
use std::net::TcpStream;

use super::{ask, create_iris};
use crate::server::{Server, eventually};

/// Inodes of the sockets that a process has open.
fn sockets(server: &Server) -> Vec<String> {
    let links = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let targets =
        links.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()?.into_os_string().into_string().ok());
    targets.filter_map(|target| Some(target.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect()
}

/// Local addresses, as the kernel writes them, of what a process listens on: TCP in state LISTEN, and all of UDP.
fn listening(server: &Server) -> Vec<String> {
    let own = sockets(server);
    let mut found = Vec::new();
    for (table, state) in [("tcp", "0A"), ("tcp6", "0A"), ("udp", ""), ("udp6", "")] {
        let text = std::fs::read_to_string(format!("/proc/{}/net/{table}", server.pid())).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if own.iter().any(|inode| inode == fields[9]) && fields[3].starts_with(state) {
                found.push(format!("{table} {}", fields[1]));
            }
        }
    }
    found
}

#[test]
fn every_listening_socket_obeys_the_bind_option() {
    for (host, written) in [("127.0.0.1", "0100007F"), ("127.0.0.2", "0200007F"), ("0.0.0.0", "00000000")] {
        let server = Server::start(&["--host", host]);
        create_iris(&server);
        let expected = format!("tcp {written}:{:04X}", server.address.port());
        assert_eq!(listening(&server), [expected], "{host}");
    }
}

/// Processes whose parent is the server.
fn children(server: &Server) -> Vec<String> {
    let parent = format!("PPid:\t{}\n", server.pid());
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let statuses = processes.filter_map(|process| std::fs::read_to_string(process.join("status")).ok());
    statuses.filter(|status| status.contains(&parent)).collect()
}

#[test]
fn no_name_reaches_a_shell() {
    let server = Server::start(&[]);
    let mark = server.path().join("mark");
    let touch = format!("touch {}", mark.display());
    for name in [
        format!("$({touch})"),
        format!("`{touch}`"),
        format!("a;{touch};b"),
        format!("a|{touch}"),
        format!("a&{touch}&"),
        format!("a\n{touch}\n"),
        format!("'$({touch})'"),
        format!("-o{touch}"),
    ] {
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let body = serde_json::json!({"service": name, "mllib": name, "name": name, "data": [name],
            "parameters": {"input": {"connector": "csv"}}, "model": {"repository": name, "weights": name}});
        for (method, path) in [
            ("PUT", format!("/services/{encoded}")),
            ("PUT", "/services/a".to_owned()),
            ("PATCH", format!("/services/{encoded}")),
            ("DELETE", format!("/services/{encoded}?clear=dir")),
            ("PUT", format!("/aliases/{encoded}")),
            ("POST", "/predict".to_owned()),
            ("POST", "/train".to_owned()),
            ("GET", format!("/train?service={encoded}&job={encoded}")),
        ] {
            let status = ask(&server, method, &path, "", body.to_string().as_bytes()).status;
            assert!((400..500).contains(&status), "{method} {path}: {status}");
            assert_eq!(children(&server), Vec::<String>::new(), "{method} {path}");
        }
    }
    assert!(!mark.exists());
}

#[test]
fn clients_that_die_in_mid_upload_leave_no_file_open() {
    let server = Server::start(&[]);
    create_iris(&server);
    assert_eq!(server.send("GET", "/info", "").status, 200);
    let before = server.open_files();
    for (index, path) in ["/predict", "/train", "/services/a", "/aliases/a"].iter().cycle().take(1000).enumerate() {
        let method = if index % 4 < 2 { "POST" } else { "PUT" };
        let mut stream = TcpStream::connect(server.address).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
        let sent = index * 97 % 100_000;
        stream.write_all(head.as_bytes()).unwrap();
        // A server that has seen enough may have closed already.
        let _ = stream.write_all(&vec![b'{'; sent]);
    }
    eventually("the files of dead clients are closed", || server.open_files() <= before + 1);
    assert_eq!(server.send("GET", "/info", "").status, 200);
}

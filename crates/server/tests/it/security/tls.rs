//! TLS of the listening socket.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::server::{Server, eventually};

/// Writes a certificate for `localhost` and its key; gives the certificate.
fn write_certificate(directory: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let certificate = made.cert.pem();
    std::fs::write(directory.join("cert.pem"), &certificate).unwrap();
    std::fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    certificate
}

/// A server that speaks TLS, and its certificate, which lies beside its state.
pub(super) fn start(arguments: &[&str]) -> (Server, String) {
    let directory = tempfile::tempdir().unwrap();
    let certificate = write_certificate(directory.path());
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (chain, key) = (path("cert.pem"), path("key.pem"));
    let arguments = [&["--tls-cert", &chain, "--tls-key", &key], arguments].concat();
    (Server::start_in(directory, &arguments), certificate)
}

/// The status of `GET /healthz` for a client that trusts `certificate` alone, over a new connection.
fn health(server: &Server, certificate: &str) -> Result<u16, String> {
    let roots = RootCerts::Specific(Arc::new(vec![Certificate::from_pem(certificate.as_bytes()).unwrap()]));
    let agent = ureq::Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .timeout_global(Some(Duration::from_secs(30)))
        .proxy(None)
        .build()
        .new_agent();
    let answer = agent.get(format!("https://localhost:{}/healthz", server.address.port())).call();
    answer.map(|answer| answer.status().as_u16()).map_err(|error| error.to_string())
}

#[test]
fn https_is_spoken_to_those_who_trust_the_certificate() {
    let (server, certificate) = start(&[]);
    assert_eq!(health(&server, &certificate), Ok(200));
    let other = write_certificate(tempfile::tempdir().unwrap().path());
    assert!(health(&server, &other).is_err());
}

#[test]
fn plain_http_is_answered_and_closed() {
    let (server, certificate) = start(&[]);
    for request in
        ["GET /info HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), format!("POST /predict HTTP/1.1\r\n{}", "x".repeat(9000))]
    {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("closed in order");
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https only"), "{answer}");
    }
    assert_eq!(health(&server, &certificate), Ok(200));
}

#[test]
fn clients_that_do_not_shake_hands_hold_nobody_up() {
    let (server, certificate) = start(&[]);
    let mut silent: Vec<TcpStream> = Vec::new();
    for index in 0..200 {
        let mut stream = TcpStream::connect(server.address).unwrap();
        if index % 2 == 0 {
            // The beginning of a hello that never comes.
            stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).unwrap();
        }
        silent.push(stream);
    }
    assert_eq!(health(&server, &certificate), Ok(200));
    let stream = &mut silent[0];
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut rest = Vec::new();
    // Closed or broken off, but not kept.
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(health(&server, &certificate), Ok(200));
}

#[test]
fn certificates_are_read_again_on_sighup() {
    let (server, first) = start(&[]);
    let second = write_certificate(server.path());
    assert_eq!(health(&server, &first), Ok(200), "not before the signal");
    server.signal("HUP");
    eventually("the new certificate is in use", || health(&server, &second) == Ok(200));
    assert!(health(&server, &first).is_err());

    std::fs::write(server.path().join("cert.pem"), "broken").unwrap();
    server.signal("HUP");
    eventually("the broken file is logged", || server.log().contains("the former certificates stay in use"));
    assert_eq!(health(&server, &second), Ok(200));
}

#[test]
fn unusable_files_end_the_start() {
    let directory = tempfile::tempdir().unwrap();
    write_certificate(directory.path());
    let path = |name: &str| -> PathBuf { directory.path().join(name) };
    let (chain, key, missing) = (path("cert.pem"), path("key.pem"), path("missing.pem"));
    for (chain, key, expected) in
        [(&missing, &key, "missing.pem"), (&chain, &chain, "private key"), (&key, &key, "certificates")]
    {
        let arguments = ["--tls-cert", chain.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
        let (mut child, log) = crate::server::spawn(directory.path(), &arguments);
        assert_eq!(child.wait().unwrap().code(), Some(1));
        let log = std::fs::read_to_string(log).unwrap();
        assert!(log.contains(expected), "{log}");
    }
}

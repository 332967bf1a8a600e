//! TLS for the listening socket: certificates, reloaded without a pause, and handshakes within bounds.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

/// Longest time for a handshake, waiting for its turn included.
const PATIENCE: Duration = Duration::from_secs(10);
/// Handshakes in flight; they cost computing time, and strangers can ask for them.
const HANDSHAKES: usize = 1024;
/// Largest file of certificates or with a key, bytes.
const FILE_LIMIT: u64 = 1 << 20;
/// First byte of every TLS connection.
const HANDSHAKE_RECORD: u8 = 0x16;
/// For a client that speaks plain http.
const PLAIN_ANSWER: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 81\r\nConnection: close\r\n\r\n\
      {\"status\":{\"code\":400,\"msg\":\"BadRequest\",\"dd_msg\":\"this port speaks https only\"}}";

/// What this server proves its name with.
pub(crate) struct Certificates {
    chain: PathBuf,
    key: PathBuf,
    present: ArcSwap<ServerConfig>,
    turns: Semaphore,
}

impl Certificates {
    /// Reads a certificate chain and its private key, both in PEM.
    ///
    /// # Errors
    /// A sentence naming the file.
    pub(crate) fn load(chain: &Path, key: &Path) -> Result<Self, String> {
        Ok(Self {
            chain: chain.to_owned(),
            key: key.to_owned(),
            present: ArcSwap::from_pointee(read(chain, key)?),
            turns: Semaphore::new(HANDSHAKES),
        })
    }

    /// Reads the files again; new connections get what is in them. On an error the former ones stay.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn reload(&self) -> Result<(), String> {
        self.present.store(Arc::new(read(&self.chain, &self.key)?));
        Ok(())
    }

    /// Begins to speak TLS with a client.
    ///
    /// # Errors
    /// When the client speaks something else, is too slow, or does not accept the certificate.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        tokio::time::timeout(PATIENCE, self.handshake(stream)).await?
    }

    async fn handshake(&self, mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        // Without this a client that connects and stays silent would take a turn.
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE_RECORD {
            refuse_plain(&mut stream).await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a client that does not speak TLS"));
        }
        let _turn = self.turns.acquire().await.map_err(io::Error::other)?;
        TlsAcceptor::from(self.present.load_full()).accept(stream).await
    }
}

/// Answers, then lets pass what the client sent: closing before that would break the connection and the answer with it.
async fn refuse_plain(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(PLAIN_ANSWER).await?;
    stream.shutdown().await?;
    let mut passed = [0; 4096];
    for _ in 0..16 {
        if stream.read(&mut passed).await? == 0 {
            break;
        }
    }
    Ok(())
}

fn read(chain: &Path, key: &Path) -> Result<ServerConfig, String> {
    let wrong = |path: &Path, reason: String| format!("{}: {reason}", path.display());
    let chain_pem = read_file(chain)?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain_pem)
        .collect::<Result<_, _>>()
        .map_err(|e| wrong(chain, e.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong(chain, "expected certificates in PEM, found none".to_owned()));
    }
    let key_der = PrivateKeyDer::from_pem_slice(&read_file(key)?)
        .map_err(|error| wrong(key, format!("expected a private key in PEM: {error}")))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(certificates, key_der)
        .map_err(|error| format!("{} and {}: {error}", chain.display(), key.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > FILE_LIMIT {
        return Err(format!("{}: expected at most {FILE_LIMIT} bytes, found {length}", path.display()));
    }
    std::fs::read(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(PLAIN_ANSWER).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{} bytes", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }

    #[test]
    fn broken_files_are_named_and_the_former_ones_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let (chain, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        std::fs::write(&chain, made.cert.pem()).expect("written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
        let certificates = Certificates::load(&chain, &key).expect("good");
        let before = certificates.present.load_full();
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        for (file, content, expected) in [
            (&chain, String::new(), "cert.pem: expected certificates"),
            (&key, String::new(), "key.pem: expected a private key"),
            (&key, other.signing_key.serialize_pem(), "cert.pem and "),
            (&chain, "x".repeat(2 << 20), "at most 1048576 bytes"),
        ] {
            let good = std::fs::read(file).expect("there");
            std::fs::write(file, content).expect("written");
            let reason = certificates.reload().expect_err(expected);
            assert!(reason.contains(expected), "{reason}");
            assert!(Arc::ptr_eq(&before, &certificates.present.load_full()));
            std::fs::write(file, good).expect("written");
        }
        certificates.reload().expect("good again");
        assert!(!Arc::ptr_eq(&before, &certificates.present.load_full()));
    }
}

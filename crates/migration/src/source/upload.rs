//! Sources that are no servers: a bundle that a client uploads, which a move then takes from the store.
//!
//! Manifest and configuration come first; they say which content may follow. An upload lives in memory and ends with the process; what it
//! brought into the store is collected once no upload and no service needs it.

use std::collections::VecDeque;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dede_bundle::Digest;
use dede_bundle::modelpack::Bundle;
use dede_bundle::store::{BlobStore, BlobWriter, Lease, StoreError};
use dede_model::error::{Error, Result};
use serde_json::Value;

use crate::record::{GoldenCase, Object};
use crate::{HostDescription, ModelSource, stored};

/// Prefix of a move's source that is an upload.
pub(crate) const PREFIX: &str = "upload:";
/// Uploads that are remembered, the newest of them.
const REMEMBERED: usize = 8;

/// The uploaded bundles.
pub(crate) struct Uploads {
    store: Arc<BlobStore>,
    known: Mutex<VecDeque<Arc<Upload>>>,
}

/// One uploaded bundle.
pub(crate) struct Upload {
    bundle: Bundle,
    manifest: Vec<u8>,
    config: Vec<u8>,
    store: Arc<BlobStore>,
    lease: Lease,
}

impl Uploads {
    pub(crate) fn new(store: Arc<BlobStore>) -> Self {
        Self { store, known: Mutex::default() }
    }

    /// Takes a bundle's description; gives the source it is for a move, and the content that is not here yet.
    pub(crate) fn offer(&self, manifest: &str, config: &str) -> Result<(String, Vec<Digest>)> {
        let bundle = Bundle::parse(manifest.as_bytes(), config.as_bytes());
        let bundle = bundle.map_err(|error| Error::bad_parameter_at("manifest", error.to_string()))?;
        let lease = self.store.lease();
        lease.hold_all(bundle.files().iter().map(|file| file.digest));
        let (name, store) = (format!("{PREFIX}{}", bundle.manifest_digest()), Arc::clone(&self.store));
        let upload = Upload { bundle, manifest: manifest.into(), config: config.into(), store, lease };
        let missing = upload.missing()?;
        let mut known = self.locked();
        known.retain(|other| other.bundle.manifest_digest() != upload.bundle.manifest_digest());
        known.truncate(REMEMBERED - 1);
        known.push_front(Arc::new(upload));
        Ok((name, missing))
    }

    /// Begins to take one file's content.
    pub(crate) fn receive(&self, name: &str, digest: &Digest) -> Result<IncomingFile> {
        let upload = self.find(name)?;
        let file = upload.bundle.files().iter().find(|file| file.digest == *digest);
        let file = file.ok_or_else(|| Error::bad_parameter_at("digest", "a file of the bundle expected"))?;
        let name = file.name.to_string();
        let writer = upload.store.begin_blob(file.digest, &upload.lease).map_err(|error| refused(&name, &error))?;
        // One byte more shows that it is too long.
        let left = file.size.saturating_add(1);
        Ok(IncomingFile { upload: Arc::clone(&upload), name, writer, left })
    }

    /// The upload of this name, as a move takes it.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Upload>> {
        let digest = name.strip_prefix(PREFIX).and_then(|digest| digest.parse::<Digest>().ok());
        let known = self.locked();
        let found = digest.and_then(|digest| known.iter().find(|upload| upload.bundle.manifest_digest() == digest));
        found.cloned().ok_or_else(|| {
            Error::MoveConflict(format!("there is no {name}: it ended with a restart, or with {REMEMBERED} others"))
        })
    }

    fn locked(&self) -> MutexGuard<'_, VecDeque<Arc<Upload>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upload {
    fn missing(&self) -> Result<Vec<Digest>> {
        let mut missing = Vec::new();
        for file in self.bundle.files() {
            if !self.store.contains(&file.digest).map_err(stored)? && !missing.contains(&file.digest) {
                missing.push(file.digest);
            }
        }
        Ok(missing)
    }
}

/// One file of an upload, as its content comes: piece by piece, so that no thread waits for the client. What has come of
/// a file that is not finished is gone with it.
pub struct IncomingFile {
    upload: Arc<Upload>,
    name: String,
    /// None where the store has the file already.
    writer: Option<BlobWriter>,
    /// Bytes that are looked at yet.
    left: u64,
}

impl IncomingFile {
    /// Whether nothing that may still come would change the outcome.
    pub fn is_full(&self) -> bool {
        self.writer.is_none() || self.left == 0
    }

    /// Writes the next bytes; what is too much is left out.
    ///
    /// # Errors
    /// [`Error::BadParameter`] with what the system says.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let count = usize::try_from(self.left).map_or(bytes.len(), |left| bytes.len().min(left));
        self.left -= count as u64;
        writer.write(&bytes[..count]).map_err(|error| refused(&self.name, &error))
    }

    /// Puts the file into the store, after all of it has come.
    ///
    /// # Errors
    /// [`Error::BadParameter`] when it is not what the bundle says.
    pub fn finish(self) -> Result<()> {
        let Some(writer) = self.writer else { return Ok(()) };
        let put = self.upload.store.finish_blob(writer, &self.upload.lease);
        put.map_err(|error| refused(&self.name, &error))
    }

    /// The error of a file whose content broke off.
    pub fn broke_off(&self, error: io::Error) -> Error {
        refused(&self.name, &StoreError::Source(error))
    }
}

fn refused(name: &str, error: &StoreError) -> Error {
    Error::bad_parameter_at(name.to_owned(), error.to_string())
}

fn not_asked<T>(what: &str) -> Result<T> {
    Err(Error::Peer(format!("an upload cannot be asked for {what}")))
}

impl ModelSource for Upload {
    fn address(&self) -> String {
        format!("an upload, {}", self.bundle.manifest_digest())
    }

    fn describe(&self) -> Result<Option<HostDescription>> {
        Ok(None)
    }

    fn bundle(&self, _: &str, _: bool) -> Result<(Vec<u8>, Vec<u8>)> {
        match self.missing()?.first() {
            None => Ok((self.manifest.clone(), self.config.clone())),
            Some(missing) => Err(Error::MoveConflict(format!("the upload is not complete: {missing} is missing"))),
        }
    }

    fn blob(&self, _: &str, digest: &Digest, range: Range<u64>) -> Result<Box<dyn Read + Send>> {
        let mut file = self.store.read(digest).map_err(stored)?;
        file.seek(SeekFrom::Start(range.start)).map_err(Error::io("seek in the store"))?;
        Ok(Box::new(file.take(range.end.saturating_sub(range.start))))
    }

    fn chunks(&self, _: &str, _: &Digest) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn predict(&self, _: &str, _: &Object) -> Result<Vec<Value>> {
        not_asked("answers")
    }

    fn captured(&self, _: &str) -> Result<Vec<GoldenCase>> {
        not_asked("its requests")
    }
}

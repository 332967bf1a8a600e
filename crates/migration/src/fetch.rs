//! Fetching the files of a bundle: only what is not here already, each byte verified, interrupted transfers continued.

use std::fs::File;
use std::io;
use std::sync::Arc;

use dede_bundle::Digest;
use dede_bundle::chunks::{ChunkList, LocalIndex, Plan, Report};
use dede_bundle::modelpack::BundleFile;
use dede_bundle::store::{BlobStore, Lease, StoreError};
use dede_engine::service::{ServedFile, Service};
use dede_model::error::{Error, Result};
use dede_storage::failpoint;

use crate::{ModelSource, stored};

/// Files below this size travel whole, bytes: asking for their chunks would take as long.
const WHOLE: u64 = 256 << 10;

/// How often a small file is fetched before it is given up.
const ATTEMPTS: usize = 3;

/// Files that are on this server and may hold parts of what is wanted.
pub(crate) struct Local {
    files: Vec<(ServedFile, ChunkList)>,
    index: LocalIndex,
}

impl Local {
    /// Nothing.
    pub(crate) fn none() -> Self {
        Self { files: Vec::new(), index: LocalIndex::new() }
    }

    /// The large files of a service: the one that is replaced is the most alike. Reads them once.
    pub(crate) fn of_service(service: &Service) -> Self {
        let mut local = Self::none();
        let Ok(serving) = service.serving() else { return local };
        for file in serving.files.iter().filter(|file| file.size >= WHOLE) {
            // A file that cannot be read, or changed meanwhile, saves nothing.
            let list = File::open(&file.path).and_then(ChunkList::of_reader).ok();
            let Some(list) = list.filter(|list| list.digest() == file.sha256) else { continue };
            local.index.add(&list);
            local.files.push((file.clone(), list));
        }
        local
    }

    /// Files that may come into the store, to take parts of them.
    pub(crate) fn digests(&self) -> impl Iterator<Item = Digest> {
        self.files.iter().map(|(file, _)| file.sha256)
    }

    /// Brings the files that a plan takes parts of into the store, where they stay as long as the lease does.
    fn keep(&self, plan: &Plan, store: &BlobStore, lease: &Lease) -> Result<()> {
        for source in plan.sources() {
            if store.contains(&source).map_err(stored)? {
                lease.hold(source);
                continue;
            }
            let Some((file, _)) = self.files.iter().find(|(file, _)| file.sha256 == source) else { continue };
            let opened = File::open(&file.path).map_err(Error::io(format!("open {}", file.path.display())))?;
            store.put_file(source, &opened, lease).map_err(stored)?;
        }
        Ok(())
    }
}

/// Bytes of a file that have to travel.
///
/// # Errors
/// [`Error::Peer`].
pub(crate) fn bytes_to_send(
    file: &BundleFile,
    service: &str,
    peer: &dyn ModelSource,
    local: &Local,
    store: &BlobStore,
) -> Result<u64> {
    if store.contains(&file.digest).map_err(stored)? || local.files.iter().any(|(own, _)| own.sha256 == file.digest) {
        return Ok(0);
    }
    Ok(chunk_plan(file, service, peer, local)?.map_or(file.size, |plan| plan.bytes_to_fetch()))
}

/// Brings a file into the store; gives the bytes that travelled. `watch` sees the bytes that are there so far, and may stop it.
///
/// # Errors
/// [`Error::Peer`] when the source fails or sends something else than it said; [`Error::Cancelled`] by `watch`; [`Error::Io`].
pub(crate) fn fetch(
    file: &BundleFile,
    service: &str,
    peer: &Arc<dyn ModelSource>,
    local: &Local,
    (store, lease): (&BlobStore, &Lease),
    watch: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<u64> {
    lease.hold(file.digest);
    if store.contains(&file.digest).map_err(stored)? {
        return Ok(0);
    }
    let Some(plan) = chunk_plan(file, service, peer.as_ref(), local)? else {
        fetch_whole(file, service, peer, (store, lease))?;
        watch(file.size)?;
        return Ok(file.size);
    };
    local.keep(&plan, store, lease)?;
    let mut stopped = None;
    let fetched = store.assemble(
        &plan,
        |range| peer.blob(service, &file.digest, range).map_err(|error| io::Error::other(error.to_string())),
        |report: &Report| {
            failpoint("chunk");
            let there = report.sent + report.saved();
            watch(there).map_err(|error| {
                stopped = Some(error);
                io::Error::other("stopped")
            })
        },
        lease,
    );
    match (fetched, stopped) {
        (_, Some(error)) => Err(error),
        (Ok(report), None) => {
            for range in &report.corrupt {
                let (start, end) = (range.start, range.end);
                tracing::warn!(file = %file.name, start, end, "bytes arrived damaged and were fetched again");
            }
            Ok(report.sent)
        }
        (Err(error), None) => Err(Error::Peer(format!("{} from {}: {error}", file.name, peer.address()))),
    }
}

/// Brings a small file into the store. One that arrives damaged or cut short is fetched again.
fn fetch_whole(
    file: &BundleFile,
    service: &str,
    peer: &Arc<dyn ModelSource>,
    (store, lease): (&BlobStore, &Lease),
) -> Result<()> {
    let mut attempts = 1..=ATTEMPTS;
    loop {
        let whole = peer.blob(service, &file.digest, 0..file.size)?;
        let failed = match store.put_reader(file.digest, io::Read::take(whole, file.size), lease) {
            Ok(()) => return Ok(()),
            Err(error @ (StoreError::DigestMismatch { .. } | StoreError::Source(_))) => error,
            Err(error) => return Err(stored(error)),
        };
        attempts.next();
        if attempts.is_empty() {
            return Err(Error::Peer(format!("{} from {}: {failed}", file.name, peer.address())));
        }
        tracing::warn!(file = %file.name, error = %failed, "a file did not arrive whole and is fetched again");
    }
}

/// How a large file is put together; `None` for one that travels whole.
fn chunk_plan(file: &BundleFile, service: &str, peer: &dyn ModelSource, local: &Local) -> Result<Option<Plan>> {
    if file.size < WHOLE {
        return Ok(None);
    }
    let Some(bytes) = peer.chunks(service, &file.digest)? else { return Ok(None) };
    let refused =
        |reason: String| Error::Peer(format!("{} sent no valid chunks of {}: {reason}", peer.address(), file.name));
    let list = ChunkList::parse(&bytes).map_err(|error| refused(error.to_string()))?;
    if list.digest() != file.digest || list.size() != file.size {
        return Err(refused("they are of another file".into()));
    }
    Ok(Some(Plan::new(list, &local.index)))
}

//! The one thread that changes the catalogue: compute, record, publish, in this order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use arc_swap::ArcSwap;
use dede_model::error::{Error, Result};

use super::snapshot::Snapshot;
use super::{first_id, state};
use crate::service::ServiceId;

/// Changes that may be queued.
const QUEUE: usize = 64;

type Change = Box<dyn FnOnce(&Snapshot) -> Result<Snapshot> + Send>;

/// Handle to the owning thread, which ends with it.
pub(super) struct Owner {
    snapshot: Arc<ArcSwap<Snapshot>>,
    sender: SyncSender<(Change, SyncSender<Result<Arc<Snapshot>>>)>,
    next_id: AtomicU64,
}

impl Owner {
    pub(super) fn start(directory: PathBuf, snapshot: Snapshot) -> Result<Self> {
        let next_id = AtomicU64::new(first_id(snapshot.recorded_ids()));
        snapshot.run_shadows(&Snapshot::default());
        let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
        let published = Arc::clone(&snapshot);
        let (sender, receiver) = sync_channel::<(Change, SyncSender<Result<Arc<Snapshot>>>)>(QUEUE);
        let work = move || {
            for (change, reply) in receiver {
                let outcome = apply(change, &published, &directory);
                // The caller may be gone; the change stands all the same.
                let _ = reply.send(outcome);
            }
        };
        std::thread::Builder::new().name("catalogue".into()).spawn(work).map_err(Error::io("start a thread"))?;
        Ok(Self { snapshot, sender, next_id })
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// An identity that is not recorded, and that this process has given to no service before.
    pub(super) fn next_id(&self) -> ServiceId {
        ServiceId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Applies a change, waits until it is durable, and returns the snapshot it led to, whatever later changes do.
    pub(super) fn change(
        &self,
        change: impl FnOnce(&Snapshot) -> Result<Snapshot> + Send + 'static,
    ) -> Result<Arc<Snapshot>> {
        let (reply, answer) = sync_channel(1);
        let gone = |_| Error::Internal("the catalogue's thread has ended".into());
        self.sender.send((Box::new(change), reply)).map_err(|_| gone(()))?;
        answer.recv().map_err(|_| gone(()))?
    }
}

fn apply(change: Change, published: &ArcSwap<Snapshot>, directory: &std::path::Path) -> Result<Arc<Snapshot>> {
    let before = published.load_full();
    // A bug in one change must not keep all others from happening.
    let after = catch_unwind(AssertUnwindSafe(|| change(&before))).unwrap_or_else(|_| {
        Err(Error::Internal("a change of the catalogue ended in an internal error (panic); see the log".into()))
    })?;
    if after.record() != before.record() {
        state::save(directory, &after.record())?;
    }
    for (name, service) in after.named_services() {
        if service.name().as_ref() != name {
            service.set_name(name.clone());
        }
    }
    let after = Arc::new(after);
    published.store(Arc::clone(&after));
    after.run_shadows(&before);
    Ok(after)
}

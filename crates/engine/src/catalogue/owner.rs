//! The one thread that changes the catalogue: compute, record, bring in line, publish, in this order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use arc_swap::ArcSwap;
use dede_model::error::{Error, Result};

use super::desired::Command;
use super::ongoing::OngoingChange;
use super::snapshot::Snapshot;
use super::store::{Put, Revision, StateStore};
use crate::service::{Service, ServiceId};

/// Changes that may be queued.
const QUEUE: usize = 64;
/// How often a change is tried that loses against other writers.
const ATTEMPTS: usize = 20;

type Check = dyn Fn(&Snapshot) -> Result<()> + Send;
type Look = dyn FnOnce(&Snapshot) -> Result<()> + Send;
type Outcome = Result<Arc<Snapshot>>;

/// One step from snapshot to snapshot. It is tried again when another writer was faster.
#[derive(Default)]
pub(super) struct Change {
    /// Refuses the step because of what runs; asked first.
    check: Option<Box<Check>>,
    command: Option<Command>,
    ongoing: Option<OngoingChange>,
    /// The service that the command creates.
    brought: Option<Arc<Service>>,
}

impl Change {
    /// Changes what is recorded.
    pub(super) fn record(command: Command) -> Self {
        Self { command: Some(command), ..Self::default() }
    }

    /// Changes what goes on in this process, and is not recorded.
    pub(super) fn ongoing(change: OngoingChange) -> Self {
        Self::default().and_ongoing(change)
    }

    /// Changes what goes on in the same step.
    pub(super) fn and_ongoing(self, change: OngoingChange) -> Self {
        Self { ongoing: Some(change), ..self }
    }

    /// With the service that the command creates.
    pub(super) fn bringing(self, service: Arc<Service>) -> Self {
        Self { brought: Some(service), ..self }
    }

    /// Only where this check passes.
    pub(super) fn only_if(self, check: impl Fn(&Snapshot) -> Result<()> + Send + 'static) -> Self {
        Self { check: Some(Box::new(check)), ..self }
    }
}

/// What the thread is asked for.
enum Request {
    Change(Box<Change>),
    /// To look at a snapshot while nothing changes.
    Look(Box<Look>),
}

/// Handle to the owning thread, which ends with it.
pub(super) struct Owner {
    snapshot: Arc<ArcSwap<Snapshot>>,
    sender: SyncSender<(Request, SyncSender<Outcome>)>,
    next_id: AtomicU64,
}

impl Owner {
    /// Takes over a snapshot of what the store holds at a revision.
    pub(super) fn start(store: Box<dyn StateStore>, revision: Revision, snapshot: Snapshot) -> Result<Self> {
        let next_id = AtomicU64::new(snapshot.desired.first_free_id());
        snapshot.run_shadows(&Snapshot::default());
        let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
        let mut work = Work { store, revision, published: Arc::clone(&snapshot) };
        let (sender, receiver) = sync_channel::<(Request, SyncSender<Outcome>)>(QUEUE);
        let work = move || {
            for (request, reply) in receiver {
                let outcome = work.serve(request);
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

    /// Makes a change, waits until it is durable, and returns the snapshot it led to, whatever later changes do.
    pub(super) fn change(&self, change: Change) -> Outcome {
        self.ask(Request::Change(Box::new(change)))
    }

    /// Calls `look` between two changes, and returns the snapshot that it saw.
    pub(super) fn look(&self, look: impl FnOnce(&Snapshot) -> Result<()> + Send + 'static) -> Outcome {
        self.ask(Request::Look(Box::new(look)))
    }

    fn ask(&self, request: Request) -> Outcome {
        let (reply, answer) = sync_channel(1);
        let gone = |_| Error::Internal("the catalogue's thread has ended".into());
        self.sender.send((request, reply)).map_err(|_| gone(()))?;
        answer.recv().map_err(|_| gone(()))?
    }
}

/// What the thread works with.
struct Work {
    store: Box<dyn StateStore>,
    revision: Revision,
    published: Arc<ArcSwap<Snapshot>>,
}

impl Work {
    /// A bug in one request must not keep all others from being served.
    fn serve(&mut self, request: Request) -> Outcome {
        let served = catch_unwind(AssertUnwindSafe(|| match request {
            Request::Change(change) => self.change(&change),
            Request::Look(look) => {
                let now = self.published.load_full();
                look(&now).map(|()| now)
            }
        }));
        served.unwrap_or_else(|_| {
            Err(Error::Internal("a change of the catalogue ended in an internal error (panic); see the log".into()))
        })
    }

    fn change(&mut self, change: &Change) -> Outcome {
        for _ in 0..ATTEMPTS {
            let before = self.published.load_full();
            change.check.as_ref().map_or(Ok(()), |check| check(&before))?;
            let listed = before.desired.with_listings(&*before);
            let next = match &change.command {
                Some(command) => listed.apply(command, &*before)?,
                None => listed.clone(),
            };
            if next != listed {
                match self.store.compare_and_put(self.revision, &next)? {
                    Put::Stored(revision) => self.revision = revision,
                    Put::Lost => {
                        self.catch_up(&before)?;
                        continue;
                    }
                }
            }
            let ongoing = before.ongoing.with(change.ongoing.as_ref());
            return Ok(self.publish(&before, before.following(next, ongoing, change.brought.as_slice())));
        }
        Err(Error::Internal(format!("other servers changed the same record each of {ATTEMPTS} times")))
    }

    /// Follows what another writer recorded. Services that it added are loaded by the next start.
    fn catch_up(&mut self, before: &Snapshot) -> Result<()> {
        let (revision, desired) = self.store.load()?;
        self.revision = revision;
        self.publish(before, before.following(desired, before.ongoing.clone(), &[]));
        Ok(())
    }

    fn publish(&self, before: &Snapshot, after: Snapshot) -> Arc<Snapshot> {
        after.name_services();
        let after = Arc::new(after);
        self.published.store(Arc::clone(&after));
        after.run_shadows(before);
        after
    }
}

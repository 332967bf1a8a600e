//! The list of moves, and the commands of operators: plan, begin, promote, abort, resume, roll back.

pub(crate) mod former_services;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dede_bundle::Digest;
use dede_engine::catalogue::Catalogue;
use dede_engine::move_id::MoveId;
use dede_engine::name::ServiceName;
use dede_model::error::{Error, Fault, Result};
use dede_model::watch::Watch;
use dede_storage::Place;

use crate::golden::{self, KeptSet, file};
use crate::handle::Move;
use crate::record::{MovePhase, MovePlan, MoveRecord, MoveSpec};
use crate::relays::Relays;
use crate::source::router::Sources;
use crate::source::upload::{IncomingFile, Uploads};
use crate::standing::{former_service, own_service};
use crate::status::MoveStatus;
use crate::{MoveContext, certificate, planning, procedure, undo};

/// Most moves that go on at once.
const AT_ONCE: usize = 8;
/// Finished moves that are remembered, where nothing else is said.
pub const KEPT_MOVES: usize = 1000;
/// Longest wait for a thread that works on a move.
const PATIENCE: Duration = Duration::from_secs(10);

/// All moves to this server.
pub struct Moves {
    pub(crate) context: Arc<MoveContext>,
    known: Mutex<BTreeMap<MoveId, Arc<Move>>>,
    next: AtomicU64,
    /// Finished moves that are remembered.
    keep: usize,
    /// Advanced when a former service is kept, and when the moves end.
    former_services_changed: Arc<Watch>,
    uploads: Arc<Uploads>,
    relays: Arc<Relays>,
}

impl Moves {
    /// Reads what is recorded. A move that was past its switch goes on by itself; one before it waits for `resume` or
    /// `abort`. `keep`: finished moves that are remembered; of older ones only certificates are.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory of moves cannot be made or read.
    pub fn start(mut context: MoveContext, keep: usize) -> Result<Arc<Self>> {
        let uploads = Arc::new(Uploads::new(Arc::clone(&context.store)));
        let relays = Arc::new(Relays::new(Arc::clone(&context.clock)));
        let (peers, shared) = (context.peers, Arc::clone(&relays));
        context.peers = Arc::new(Sources { uploads: Arc::clone(&uploads), relays: shared, peers });
        let directory = context.directory.join("moves");
        std::fs::create_dir_all(&directory).map_err(Error::io(format!("create {}", directory.display())))?;
        dede_storage::files::sync_directory(&context.directory)?;
        let (records, next) = MoveRecord::load_all(&directory)?;
        // A move whose directory is gone still stands in what it did.
        let next = next.max(context.catalogue.snapshot().highest_move().saturating_add(1));
        for record in &records {
            context.rate.learn_from(record);
            claim_again(record, &context.catalogue);
        }
        let context = Arc::new(context);
        let known: BTreeMap<_, _> = records
            .into_iter()
            .map(|record| (record.id, Move::recorded(record, directory.clone(), Arc::clone(&context.clock))))
            .collect();
        let (known, former_services_changed) = (Mutex::new(known), Arc::default());
        let next = AtomicU64::new(next);
        let moves = Arc::new(Self { context, known, next, keep, former_services_changed, uploads, relays });
        let forgotten = forget_oldest(&mut moves.known(), keep);
        forget(&forgotten);
        let goes_on = |known: &Arc<Move>| known.goes_on_by_itself(&moves.context.catalogue);
        for unfinished in moves.all().into_iter().filter(goes_on) {
            moves.run(&unfinished)?;
        }
        former_services::start(&moves, Arc::clone(&moves.former_services_changed))?;
        Ok(moves)
    }

    /// What a move would do, without doing it.
    ///
    /// # Errors
    /// [`Error::Peer`], [`Error::Forbidden`], [`Error::ServiceNotFound`].
    pub fn plan(&self, spec: &MoveSpec) -> Result<MovePlan> {
        let peer = self.context.peers.peer(&spec.source)?;
        planning::plan(spec, peer, &self.context).map(|planned| planned.plan)
    }

    /// Checks that a source may be moved from.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a source that is no peer.
    pub fn check_peer(&self, source: &str) -> Result<()> {
        self.context.peers.peer(source).map(drop)
    }

    /// Checks that a source may be moved from, and that a move from it can begin now.
    ///
    /// # Errors
    /// As [`Moves::check_peer`]; [`Error::MoveConflict`] for a relay that no command serves.
    pub fn check_source(&self, source: &str) -> Result<()> {
        self.check_peer(source)?;
        self.relays.check(source)
    }

    /// Begins a move.
    ///
    /// # Errors
    /// [`Error::MoveConflict`] while another move to the same alias or name goes on; [`Error::Forbidden`] for a source that is
    /// no peer; [`Error::Malformed`] for what contradicts itself.
    pub fn begin(&self, mut spec: MoveSpec) -> Result<MoveStatus> {
        self.check_source(&spec.source)?;
        ServiceName::parse(&spec.service)?;
        spec.policy()?;
        spec.check_numbers()?;
        golden::check_count(&spec.golden)?;
        file::check_size(&spec.golden)?;
        spec.check_replace_first()?;
        if let Some(directory) = &spec.repository {
            planning::check_place(directory, &self.context.catalogue.snapshot())?;
        }
        certificate::check_key(&self.context.directory)?;
        let nonce = nonce()?;
        if spec.keep_for.is_some() && spec.alias.is_none() {
            let text = "only together with as: otherwise nothing is replaced";
            return Err(Error::Malformed(Fault::at("keep_for_s", text)));
        }
        let golden = std::mem::take(&mut spec.golden);
        let place = spec.repository.as_deref().map(Place::of);
        let (begun, forgotten) = {
            let mut known = self.known();
            let going_on = known.values().filter(|other| !other.phase().is_over());
            if let Some(other) = going_on.clone().find(|other| other.touches(&spec, place.as_ref())) {
                return Err(Error::MoveConflict(format!(
                    "move {} to the same name or directory goes on; wait for it, or abort it",
                    other.id
                )));
            }
            if going_on.count() >= AT_ONCE {
                return Err(Error::Overloaded(format!("{AT_ONCE} moves go on, the most at once")));
            }
            let id = MoveId(self.next.fetch_add(1, Ordering::Relaxed));
            let mut record = MoveRecord::new(id, spec, nonce);
            record.golden_given = !golden.is_empty();
            let begun =
                Move::begun(record, self.context.directory.join("moves"), place, Arc::clone(&self.context.clock));
            known.insert(id, Arc::clone(&begun));
            (begun, forget_oldest(&mut known, self.keep))
        };
        forget(&forgotten);
        let keep = || file::keep_given(&begun, &self.context, golden);
        if let Err(error) = begun.save().and_then(|()| keep()).and_then(|()| self.run_claimed(&begun)) {
            // The client is told that the move did not begin, so it must not block the next one.
            self.known().remove(&begun.id);
            forget(&[begun]);
            return Err(error);
        }
        Ok(begun.info())
    }

    /// Takes the description of a bundle whose source is no server. Gives what a move names as its source, and the content that
    /// [`Moves::receive`] has to bring first.
    ///
    /// # Errors
    /// [`Error::BadParameter`] when it is no bundle.
    pub fn offer(&self, manifest: &str, config: &str) -> Result<(String, Vec<Digest>)> {
        self.uploads.offer(manifest, config)
    }

    /// Begins to take the content of one file of an offered bundle.
    ///
    /// # Errors
    /// [`Error::MoveConflict`] when nothing like it was offered; [`Error::BadParameter`] when it is no file of the bundle.
    pub fn receive(&self, source: &str, digest: &Digest) -> Result<IncomingFile> {
        self.uploads.receive(source, digest)
    }

    /// Sources that a command asks in this server's place.
    pub fn relays(&self) -> &Relays {
        &self.relays
    }

    /// All moves, oldest first.
    pub fn all(&self) -> Vec<Arc<Move>> {
        self.known().values().cloned().collect()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<MoveId, Arc<Move>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One move.
    ///
    /// # Errors
    /// [`Error::MoveNotFound`].
    pub fn find(&self, id: &str) -> Result<Arc<Move>> {
        let number: MoveId = id.parse()?;
        self.known().get(&number).cloned().ok_or_else(|| Error::MoveNotFound(id.to_owned()))
    }

    /// Lets a move switch without waiting for more.
    ///
    /// # Errors
    /// [`Error::MoveNotFound`]; [`Error::MoveConflict`] when it has switched, is over, or was interrupted and waits for a resume.
    pub fn promote(&self, id: &str) -> Result<MoveStatus> {
        let found = self.find(id)?;
        certificate::check_key(&self.context.directory)?;
        found.promote()?;
        self.run(&found)?;
        Ok(found.info())
    }

    /// Undoes a move: before the switch everything is as it was, after it the former service serves again.
    ///
    /// # Errors
    /// [`Error::MoveNotFound`]; [`Error::MoveConflict`] when it is over; [`Error::AliasConflict`] when the former service cannot serve
    /// again.
    pub fn abort(&self, id: &str, reason: &str) -> Result<MoveStatus> {
        let found = self.find(id)?;
        if !found.phase().is_over() {
            undo::check_possible(&found.record(), &self.context.catalogue)?;
        }
        let catalogue = &self.context.catalogue;
        // Set before the move is told to undo, because the move's own thread clears it at the end.
        catalogue.claim_undoing(found.id, true);
        let told = found.ask_to_undo(reason).and_then(|()| self.run(&found));
        told.inspect_err(|_| catalogue.claim_undoing(found.id, false))?;
        Ok(found.info())
    }

    /// Goes on with a move that a restart interrupted.
    ///
    /// # Errors
    /// [`Error::MoveNotFound`]; [`Error::MoveConflict`] when it is over, or when no command relays its source.
    pub fn resume(&self, id: &str) -> Result<MoveStatus> {
        let found = self.find(id)?;
        if found.phase().is_over() {
            return Err(found.refusal());
        }
        certificate::check_key(&self.context.directory)?;
        if !found.goes_on_by_itself(&self.context.catalogue) {
            self.relays.check(&found.info().spec.source)?;
        }
        self.run(&found)?;
        Ok(found.info())
    }

    /// Goes back to the former service after a move, also when the move is done.
    ///
    /// # Errors
    /// [`Error::MoveNotFound`]; [`Error::AliasConflict`] when the alias was pointed elsewhere since.
    pub fn roll_back(&self, id: &str) -> Result<MoveStatus> {
        let found = self.find(id)?;
        if found.phase() != MovePhase::Done {
            let reason = if found.phase().is_after_switch() { "rolled back on request" } else { "aborted on request" };
            return self.abort(id, reason);
        }
        // Its thread may not have ended yet.
        if !found.wait_until(Some(self.context.clock.now() + PATIENCE), || found.claim()) {
            return Err(Error::MoveConflict(format!("move {id} is being worked on; try again")));
        }
        let outcome = undo::roll_back_done(&found, &self.context);
        found.release();
        outcome.map(|()| found.info())
    }

    /// The certificate of a move, as it was signed.
    ///
    /// # Errors
    /// [`Error::MoveNotFound`], also while the move has none.
    pub fn certificate(&self, id: &str) -> Result<String> {
        match self.find(id) {
            Ok(found) => certificate::read(&found, &self.context),
            Err(_) => certificate::read_forgotten(id.parse()?, &self.context),
        }
    }

    /// The golden set that the service of a move had to reproduce, as JSON.
    ///
    /// # Errors
    /// [`Error::MoveNotFound`], also where none was kept.
    pub fn golden(&self, id: &str) -> Result<KeptSet> {
        file::read(&*self.find(id)?, &self.context)
    }

    /// Runs a move on a thread of its own, unless one does already.
    fn run(&self, running: &Arc<Move>) -> Result<()> {
        if running.claim() { self.run_claimed(running) } else { Ok(()) }
    }

    /// As [`Moves::run`], with the right to run it; it is given back where no thread can be started.
    fn run_claimed(&self, claimed: &Arc<Move>) -> Result<()> {
        let (running, context) = (Arc::clone(claimed), Arc::clone(&self.context));
        let name = format!("move-{}", running.id);
        let former_services_changed = Arc::clone(&self.former_services_changed);
        let work = move || {
            procedure::run(&running, &context);
            former_services_changed.advance();
        };
        let started = std::thread::Builder::new().name(name).spawn(work).map_err(Error::io("start a thread"));
        started.map(drop).inspect_err(|_| claimed.release_unfinished())
    }
}

impl Drop for Moves {
    fn drop(&mut self) {
        self.former_services_changed.advance();
    }
}

/// Random digits that no other move has, of this server or another.
fn nonce() -> Result<String> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::Internal(format!("no random numbers: {error}")))?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

/// Claims again what an unfinished move needs, so that it does not change while the move waits for an operator.
fn claim_again(record: &MoveRecord, catalogue: &Catalogue) {
    if record.phase.is_over() {
        return;
    }
    let snapshot = catalogue.snapshot();
    let own = own_service(record, &snapshot);
    let services = own.into_iter().chain(former_service(record, &snapshot));
    let claimed: Result<Vec<()>> = services.map(|service| catalogue.claim_service(record.id, service)).collect();
    let directory = record.effects.directory.as_deref();
    let place = directory.map_or(Ok(()), |place| catalogue.claim_directory(record.id, place, own.map(|own| own.id)));
    for error in [claimed.err(), place.err()].into_iter().flatten() {
        tracing::warn!(id = %record.id, %error, "something that the move needs may change before it is resumed");
    }
}

/// Takes out the oldest moves that are over, until there are few enough.
fn forget_oldest(known: &mut BTreeMap<MoveId, Arc<Move>>, keep: usize) -> Vec<Arc<Move>> {
    let mut forgotten = Vec::new();
    while known.len() > keep.max(1) {
        let ended = |other: &&Arc<Move>| {
            other.phase().is_over() && other.phase() != MovePhase::Damaged && other.keeps_until_ms().is_none()
        };
        // The directory of the newest says that its number is taken.
        let newest = known.keys().next_back().copied();
        let oldest = known.values().find(ended).map(|other| other.id).filter(|oldest| Some(*oldest) != newest);
        let Some(oldest) = oldest else { break };
        forgotten.extend(known.remove(&oldest));
    }
    forgotten
}

/// Removes what is kept of moves on the disk, except certificates.
fn forget(moves: &[Arc<Move>]) {
    for forgotten in moves {
        if let Err(error) = forgotten.forget() {
            tracing::warn!(id = %forgotten.id, %error, "what is kept of an old move stays on the disk");
        }
    }
}

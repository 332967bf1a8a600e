//! The list of moves. What operators tell it is in [`begin`] and [`commands`].

mod begin;
mod commands;
pub(crate) mod former_services;
mod together;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dede_bundle::Digest;
use dede_engine::catalogue::Catalogue;
use dede_engine::move_id::MoveId;
use dede_model::error::{Error, Result};
use dede_model::watch::Watch;

use crate::golden::{KeptSet, file};
use crate::handle::Move;
use crate::record::{MovePhase, MovePlan, MoveRecord, MoveSpec};
use crate::relays::Relays;
use crate::source::router::Sources;
use crate::source::upload::{IncomingFile, Uploads};
use crate::standing::{former_service, own_service};
use crate::status::MoveStatus;
use crate::{MoveContext, certificate, planning, procedure};

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
        let (mut records, next) = MoveRecord::load_all(&directory)?;
        together::reopen(&mut records);
        // A move whose directory is gone still stands in what it did.
        let next = next.max(context.catalogue.snapshot().highest_move().saturating_add(1));
        for record in &records {
            context.rate.learn_from(record);
            claim_again(record, &context.catalogue);
        }
        let context = Arc::new(context);
        let companies = together::companies(&records);
        let known: BTreeMap<_, _> = records
            .into_iter()
            .map(|record| {
                let company = companies.get(&record.id).filter(|_| record.phase != MovePhase::Damaged).cloned();
                (record.id, Move::recorded(record, directory.clone(), company, Arc::clone(&context.clock)))
            })
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

    /// What moves that switch together would do, without doing it. What they need together and there is not is an obstacle of the first.
    ///
    /// # Errors
    /// As [`Moves::plan`]; [`Error::Malformed`] for what cannot go together.
    pub fn plan_together(&self, specs: &[MoveSpec]) -> Result<Vec<MovePlan>> {
        together::check(specs)?;
        let mut plans: Vec<MovePlan> = specs.iter().map(|spec| self.plan(spec)).collect::<Result<_>>()?;
        let found = planning::together::obstacles(&plans);
        plans.first_mut().into_iter().for_each(|first| first.obstacles.extend(found.iter().cloned()));
        Ok(plans)
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
    pub fn begin(&self, spec: MoveSpec) -> Result<MoveStatus> {
        self.begin_all(vec![spec])
    }

    /// Begins moves whose aliases switch in one change, or not at all; gives the state of the first.
    ///
    /// # Errors
    /// As [`Moves::begin`]; none of them has begun then.
    pub fn begin_together(&self, specs: Vec<MoveSpec>) -> Result<MoveStatus> {
        together::check(&specs)?;
        self.begin_all(specs)
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
            let all = other.members();
            all.iter().all(|member| member.phase().is_over() && member.keeps_until_ms().is_none())
                && other.phase() != MovePhase::Damaged
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

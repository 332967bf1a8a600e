//! How long a move will take and how much memory it needs, from what is known: the size of its files, how long the service that is
//! replaced took to load and takes to answer, how fast earlier moves came here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dede_bundle::modelpack::{Bundle, Role};
use dede_engine::catalogue::Snapshot;
use dede_engine::dispatch::rehearse;
use dede_engine::service::{ServedFile, Service};
use dede_model::backend::WeightFile;

use crate::MoveContext;
use crate::golden::GENERATED;
use crate::record::{MovePhase, MovePlan, MoveRecord, PlannedTime};

/// Time of each share of a canary.
pub(crate) const CANARY_STEP: Duration = Duration::from_secs(5);
/// Requests that run on a network before clients wait for it: each of them waits for this, where the two networks do not
/// fit in memory side by side.
pub(crate) const IN_PLACE_WARMING_CALLS: usize = 20;
/// What any phase takes besides, milliseconds: synced records, and some requests.
const FIXED_MS: f64 = 50.0;
/// What loading takes where there is no service to go by, milliseconds per byte: ResNet-50 takes some 2 s.
const LOADING_MS: f64 = 20e-6;
/// Requests of the shortest warming.
const SHORTEST_WARMING: usize = 60;
/// How fast a source is where none has sent anything yet, bytes per second: a network of 1 Gbit/s.
const UNKNOWN_RATE: u64 = 100_000_000;
/// Fewer bytes than this say nothing about how fast a source is.
const TELLING: u64 = 1 << 20;

/// How fast the last files came here.
#[derive(Debug, Default)]
pub struct TransferRate(AtomicU64);

impl TransferRate {
    /// Learns from bytes that travelled; too few of them are ignored.
    pub(crate) fn learn(&self, bytes: u64, took: Duration) {
        if bytes >= TELLING {
            let rate = bytes as f64 / took.as_secs_f64().max(1e-3);
            self.0.store(rate as u64, Ordering::Relaxed);
        }
    }

    /// Learns from a move that is recorded.
    pub(crate) fn learn_from(&self, record: &MoveRecord) {
        let copying = record.report.phases.iter().find(|time| time.phase == MovePhase::Copying);
        if let Some(copying) = copying {
            self.learn(record.report.sent_bytes, Duration::from_millis(copying.took_ms));
        }
    }

    /// Bytes per second.
    fn bytes_per_s(&self) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            0 => UNKNOWN_RATE,
            known => known,
        }
    }
}

/// Fills in memory, time, and the pause where the former network leaves first.
pub(crate) fn estimate(plan: &mut MovePlan, bundle: &Bundle, snapshot: &Snapshot, context: &MoveContext) {
    let files = bundle.files().iter().filter(|file| file.role == Role::Weight);
    let files: Vec<_> = files.map(|file| WeightFile { name: file.name.as_str(), size: file.size }).collect();
    let weights = files.iter().map(|file| file.size).sum::<u64>();
    let former = plan.replaces.as_ref().and_then(|former| snapshot.resolve(&former.service).ok());
    let former = former.and_then(|former| Former::of(&former.service, weights));
    let mllib = bundle.service().get("mllib").and_then(|mllib| mllib.as_str()).unwrap_or_default();
    let needed = |files: &[WeightFile<'_>]| context.catalogue.memory_needed(mllib, files);
    let leaving = former.as_ref().filter(|_| plan.spec.replace_first);
    let leaves = leaving.map_or(0, |former| needed(&former.weights()));
    plan.memory_needed_bytes = needed(&files).saturating_sub(leaves);
    let requests = |count: usize| former.as_ref().map_or(0.0, |former| count as f64 * former.request_ms);
    let loading_ms = former.as_ref().map_or(weights as f64 * LOADING_MS, |former| former.loading_ms);
    // The source computes golden answers too.
    let golden = &plan.spec.golden;
    let golden_ms = requests(if golden.is_empty() { 2 * GENERATED } else { golden.len() });
    if plan.spec.replace_first && former.is_some() {
        plan.pause_ms = Some((FIXED_MS + loading_ms + requests(IN_PLACE_WARMING_CALLS) + golden_ms).round() as u64);
    }
    let copying_ms = plan.send_bytes as f64 * 1000.0 / context.rate.bytes_per_s() as f64;
    let ready_ms = 3.0 * FIXED_MS + copying_ms + loading_ms + requests(SHORTEST_WARMING) + golden_ms;
    plan.time = PlannedTime { ready_ms: ready_ms.round() as u64, compared_ms: compared_ms(plan) };
}

/// Longest time that old and new are compared, before and after the switch.
fn compared_ms(plan: &MovePlan) -> u64 {
    let spec = &plan.spec;
    if plan.replaces.is_none() {
        return 0;
    }
    let canary_s = spec.canary.len() as u64 * CANARY_STEP.as_secs();
    let before_s = if spec.replace_first { 0 } else { spec.shadow_for.as_secs().saturating_add(canary_s) };
    before_s.saturating_add(spec.watch_for.as_secs()).saturating_mul(1000)
}

/// What the service that is replaced tells of the new one: everything takes as long for each byte as it takes with this one.
struct Former {
    files: Vec<ServedFile>,
    loading_ms: f64,
    request_ms: f64,
}

impl Former {
    fn of(service: &Service, weights: u64) -> Option<Self> {
        let serving = service.serving().ok()?;
        let bytes = serving.files.iter().map(|file| file.size).sum::<u64>();
        let size = weights as f64 / bytes.max(1) as f64;
        let loading_ms = size * milliseconds(serving.opened_in);
        Some(Self { files: serving.files.clone(), loading_ms, request_ms: size * request_ms(service) })
    }

    fn weights(&self) -> Vec<WeightFile<'_>> {
        let weights = self.files.iter().map(|file| WeightFile {
            name: file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
            size: file.size,
        });
        weights.collect()
    }
}

/// What a request takes here now; nothing where it cannot be tried.
fn request_ms(service: &Service) -> f64 {
    let call = service.generated_calls(1).ok().and_then(|calls| calls.into_iter().next());
    let took = call.and_then(|call| rehearse(service, &call).ok()).map(|answer| answer.took.total);
    milliseconds(took.unwrap_or_default())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_learnt_from_enough_bytes_only() {
        let rate = TransferRate::default();
        rate.learn(TELLING - 1, Duration::from_secs(1));
        assert_eq!(rate.bytes_per_s(), UNKNOWN_RATE);
        rate.learn(10 * TELLING, Duration::from_secs(2));
        assert_eq!(rate.bytes_per_s(), 5 * TELLING);
    }
}

//! Whether an engine's optimisations leave a network's answers what its file says, tried with generated items.
//!
//! Engines put one operator in place of several that look like it, and compute constants and shapes ahead. Where that changes the answers,
//! or fails, the network is run as it is written: more slowly, and right. It must not know operators beyond those of whole numbers.

use std::time::Instant;

use dede_model::memory;

use super::closeness::{Closeness, Probe, Tolerance};
use super::engine::{Engine, EngineError, LoadOptions, Network, Parallelism, Session, Tensor};
use super::independence::LONG;
use super::onnx_view::OnnxView;

/// Generated items that are tried; fewer where that takes long.
const ITEMS: usize = 7;
/// Fewer say too little of how far numbers are apart.
const FEWEST: usize = 2;

/// Makes a generated item an input; several where runs have a fixed number.
pub(super) type Item<'i> = dyn Fn(usize) -> Result<Tensor, EngineError> + 'i;

/// Answers of a network as it is written, by the numbers of items that it takes.
struct Answers {
    items: Vec<(usize, Probe)>,
    closeness: Closeness,
}

/// Loads a network, optimised where that changes no answer; `again` makes the same network once more.
///
/// # Errors
/// [`EngineError`] of the engine.
pub(super) fn load(
    engine: &dyn Engine,
    network: Network,
    again: &dyn Fn() -> Result<Network, EngineError>,
    options: LoadOptions,
    item: &Item<'_>,
) -> Result<Box<dyn Session>, EngineError> {
    let as_written = LoadOptions { is_optimised: false, ..options.clone() };
    let alone = LoadOptions { threads: 1, lanes: 1, ..as_written.clone() };
    let written = Answers::of(engine, network, &alone, item);
    // What is loaded next needs the memory.
    memory::give_back();
    let optimised = engine.load(again()?, &options);
    let Ok(written) = written else { return optimised };
    let reason = match optimised {
        Ok(_) if written.closeness.is_blind => "all generated items have the same answer".to_owned(),
        Ok(session) if written.are_those_of(session.as_ref(), item) => return Ok(session),
        Ok(_) => "its answers would be others".to_owned(),
        Err(error) => error.to_string(),
    };
    tracing::info!(engine = engine.name(), reason, "the network is run as it is written, without optimisations");
    engine.load(again()?, &as_written)
}

impl Answers {
    fn of(engine: &dyn Engine, network: Network, options: &LoadOptions, item: &Item<'_>) -> Result<Self, EngineError> {
        let tolerance = if is_quantised(&network) { Tolerance::WHOLE } else { Tolerance::ORDER };
        let session = engine.load(network, options)?;
        let run = |item: Tensor| session.run(vec![item], Parallelism::One);
        let started = Instant::now();
        let mut items = Vec::new();
        let mut failed = None;
        for number in 0..ITEMS {
            let is_long = started.elapsed() > LONG;
            let probe = |item: Tensor| if is_long { run(item).map(Probe::once) } else { Probe::of(&item, &run) };
            match item(number).and_then(probe) {
                Ok(probe) => items.push((number, probe)),
                // Not all take any number.
                Err(error) => failed = Some(error),
            }
            if items.len() >= FEWEST && started.elapsed() > LONG {
                break;
            }
        }
        if let (true, Some(error)) = (items.is_empty(), failed) {
            return Err(error);
        }
        let closeness = Closeness::of(&items.iter().map(|(_, probe)| probe).collect::<Vec<_>>(), tolerance);
        Ok(Self { items, closeness })
    }

    fn are_those_of(&self, session: &dyn Session, item: &Item<'_>) -> bool {
        self.items.iter().enumerate().all(|(place, (number, written))| {
            let Ok(found) = item(*number).and_then(|item| session.run(vec![item], Parallelism::One)) else {
                return false;
            };
            let mut pairs = written.answers.iter().zip(&found).enumerate();
            pairs.all(|(output, (written, found))| {
                written.shape() == found.shape() && self.closeness.are_alike((place, output), written, found)
            })
        })
    }
}

/// Whether a network makes numbers whole ones.
pub(super) fn is_quantised(network: &Network) -> bool {
    let Ok(view) = OnnxView::parse(&network.onnx) else { return false };
    let mut is_quantised = false;
    view.graph.each_graph(&mut |graph| {
        is_quantised |= graph.nodes.iter().any(|node| node.op.contains("uantize") || node.op.starts_with("QLinear"));
    });
    is_quantised
}

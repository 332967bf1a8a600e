//! Whether an engine's optimisations leave a network's answers what its file says, tried with generated items.
//!
//! Engines put one operator in place of several that look like it, and compute constants and shapes ahead. Where that changes the answers,
//! or fails, the network is run as it is written: more slowly, and right. It must not know operators beyond those of whole numbers.

mod tail;

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

/// What is to be loaded, and tried with generated items.
struct Trying<'t> {
    engine: &'t dyn Engine,
    again: &'t dyn Fn() -> Result<Network, EngineError>,
    item: &'t Item<'t>,
}

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
    let before = tail::before_the_end(&network.onnx, &options.outputs);
    let written = Answers::of(engine, network, &alone, item);
    let is_blind = written.as_ref().is_ok_and(|written| written.closeness.is_blind);
    let trying = Trying { engine, again, item };
    let is_right_before = is_blind && before.is_some_and(|before| trying.is_right(before, &alone));
    // What is loaded next needs the memory.
    memory::give_back();
    let optimised = engine.load(again()?, &options);
    let Ok(written) = written else { return optimised };
    let reason = match optimised {
        Ok(_) if is_blind && !is_right_before => "all generated items have the same answer".to_owned(),
        Ok(session) if written.are_those_of(session.as_ref(), item) => return Ok(session),
        Ok(_) => "its answers would be others".to_owned(),
        Err(error) => error.to_string(),
    };
    tracing::info!(engine = engine.name(), reason, "the network is run as it is written, without optimisations");
    engine.load(again()?, &as_written)
}

impl Trying<'_> {
    /// Whether items have answers that differ at these values, and the same ones of the optimised network.
    fn is_right(&self, values: Vec<String>, alone: &LoadOptions) -> bool {
        let Self { engine, again, item } = *self;
        let as_written = LoadOptions { outputs: values, ..alone.clone() };
        let optimised = LoadOptions { is_optimised: true, ..as_written.clone() };
        let written = again().and_then(|network| Answers::of(engine, network, &as_written, item));
        memory::give_back();
        let Some(written) = written.ok().filter(|written| !written.closeness.is_blind) else { return false };
        let optimised = again().and_then(|network| engine.load(network, &optimised));
        optimised.is_ok_and(|session| written.are_those_of(session.as_ref(), item))
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use dede_testing::onnx::{Attribute, F32, Onnx};

    use super::super::engine::{self, Availability, Values};
    use super::*;

    /// An engine that notes whether what it loads is optimised.
    struct Noting {
        engine: &'static dyn Engine,
        loads: Mutex<Vec<bool>>,
    }

    impl Engine for Noting {
        fn name(&self) -> &'static str {
            self.engine.name()
        }

        fn check(&self) -> Availability {
            self.engine.check()
        }

        fn load(&self, network: Network, options: &LoadOptions) -> Result<Box<dyn Session>, EngineError> {
            self.loads.lock().expect("no panic").push(options.is_optimised);
            self.engine.load(network, options)
        }
    }

    /// Scores far apart, which a softmax makes 0 and 1 for every item.
    fn levelled(scores: &str) -> Vec<u8> {
        let network = Onnx::new(17).input("x", F32, &[-1, 2]).output("p", F32, &[-1, 2]);
        let network = network.floats("w", &[2, 2], &[900.0, 0.0, 900.0, 0.0]).floats("b", &[2], &[9000.0, 0.0]);
        network
            .node(scores, &["x", "w", "b"], &["scores"], &[])
            .node("Softmax", &["scores"], &["p"], &[("axis", Attribute::Int(-1))])
            .build()
    }

    #[test]
    fn a_network_that_levels_its_answers_is_optimised_where_its_scores_stay() {
        let network = || Network { onnx: levelled("Gemm").into(), ..Network::default() };
        let item = |number: usize| {
            let values = vec![number as f32 * 0.5 + 0.25, 1.0];
            Tensor::new(vec![1, 2], Values::F32(values)).map_err(EngineError::from)
        };
        let engine = Noting { engine: engine::select(Some("rten")).expect("built in"), loads: Mutex::default() };
        let options = LoadOptions { threads: 1, lanes: 1, outputs: Vec::new(), is_optimised: true };
        let session = load(&engine, network(), &|| Ok(network()), options, &item).expect("loads");
        let answer = session.run(vec![item(0).expect("fits")], Parallelism::One).expect("runs");
        assert_eq!(answer.first().map(Tensor::values), Some(&Values::F32(vec![1.0, 0.0])));
        let loads = engine.loads.into_inner().expect("no panic");
        assert_eq!(
            loads,
            [false, false, true, true],
            "as written, its scores so and optimised, and all of it optimised"
        );
    }
}

//! How much memory a network takes, going by the size of its file.
//!
//! It owns figures that were measured; `benches/move.py --parts large` and a test of the server hold them against what is used. What the
//! network is made of decides too and cannot be seen from here. ONNX files count as matrix products, as large networks have them:
//! convolutions take ONNX Runtime up to three times their size while they are loaded. rten keeps a second copy of what MatMul multiplies
//! with, and none for a transposed Gemm, which takes half of what is said here.

use crate::neural::content::LARGE;

/// Where the ONNX bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::neural) enum Source {
    /// A file of them.
    Onnx,
    /// What such a file refers to beside it.
    External,
    /// A graph, exported in memory.
    Graph,
}

/// Most memory of loading and serving a network whose weights have that size, with the engine of that name or the one that is used.
pub(in crate::neural) fn memory_needed(source: Source, weights: u64, engine: Option<&str>) -> u64 {
    let (hundredths, besides) = parts(source, weights, engine);
    (weights / 100).saturating_mul(hundredths).saturating_add(besides << 20)
}

/// As [`memory_needed`], where the engine serves such a network already.
pub(in crate::neural) fn memory_of_another(source: Source, weights: u64, engine: Option<&str>) -> u64 {
    (weights / 100).saturating_mul(parts(source, weights, engine).0)
}

/// Hundredths of the size of the weights, and what code, threads and buffers take besides, in MiB.
fn parts(source: Source, weights: u64, engine: Option<&str>) -> (u64, u64) {
    let engine = super::select(engine).map_or("", super::Engine::name);
    let mapped = cfg!(target_os = "linux") && source == Source::Onnx && weights >= LARGE;
    match (engine, source, mapped) {
        ("rten", Source::Onnx, true) => (200, 5),
        ("rten", Source::Onnx, false) => (290, 5),
        ("rten", Source::External, _) => (305, 0),
        ("rten", Source::Graph, _) => (310, 5),
        (_, Source::Onnx, true) => (118, 46),
        (_, Source::Onnx, false) => (185, 46),
        (_, Source::External, _) => (370, 0),
        (_, Source::Graph, _) => (600, 46),
    }
}

//! Networks large enough to be mapped: answers are those of the same network loaded from its bytes, whatever happens to the file.

use std::path::Path;

use dede_backends::neural::content::Content;
use dede_backends::neural::engine::{Engine, LoadOptions, Network, Parallelism, Session, Tensor, Values};
use dede_testing::onnx::{F32, Onnx};

use crate::engines::usable;

/// Three matrix products of 2048 x 2048, 50 MB, and a last one to four values.
fn large() -> Vec<u8> {
    const WIDTH: i64 = 2048;
    let mut state = 7u32;
    let mut weights = |count: i64| -> Vec<f32> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next() * 0.04).collect()
    };
    let mut onnx = Onnx::new(17).input("x", F32, &[-1, WIDTH]).output("y", F32, &[-1, 4]);
    for (layer, before) in ["x", "r0", "r1"].into_iter().enumerate() {
        let (weight, product, value) = (format!("w{layer}"), format!("m{layer}"), format!("r{layer}"));
        onnx = onnx.floats(&weight, &[WIDTH, WIDTH], &weights(WIDTH * WIDTH));
        onnx = onnx.node("MatMul", &[before, &weight], &[&product], &[]).node("Relu", &[&product], &[&value], &[]);
    }
    onnx.floats("last", &[WIDTH, 4], &weights(WIDTH * 4)).node("MatMul", &["r2", "last"], &["y"], &[]).build()
}

fn rows(count: usize) -> Tensor {
    let values = (0..count * 2048).map(|index| (index * 7919 % 1000) as f32 / 500.0 - 1.0).collect();
    Tensor::new(vec![count, 2048], Values::F32(values)).expect("as many values as the shape wants")
}

fn load(engine: &dyn Engine, network: Network) -> Box<dyn Session> {
    let options = LoadOptions { threads: 2, lanes: 3, outputs: Vec::new(), is_optimised: true };
    engine.load(network, &options).unwrap_or_else(|error| panic!("{}: {error}", engine.name()))
}

fn mapped(path: &Path) -> Network {
    Network { onnx: Content::open(path).expect("a file"), path: Some(path.to_owned()), external: Vec::new() }
}

#[test]
fn a_mapped_network_answers_as_one_from_memory_and_needs_its_file_no_more() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("large.onnx");
    let bytes = large();
    for engine in usable() {
        std::fs::write(&path, &bytes).expect("written");
        let expected = load(engine, Network { onnx: bytes.clone().into(), ..Network::default() });
        let mut session = load(engine, mapped(&path));
        session.settle(&[rows(1)], true).expect("settles");
        // It would wait for a lease that is still held, and a page that is still mapped would be gone.
        std::fs::write(&path, b"").expect("written");
        std::thread::scope(|scope| {
            for (count, width) in
                [(1, Parallelism::One), (1, Parallelism::All), (3, Parallelism::One), (2, Parallelism::One)]
            {
                let (session, expected, engine) = (&session, &expected, engine.name());
                scope.spawn(move || {
                    let answer = |session: &dyn Session| session.run(vec![rows(count)], width).expect("runs");
                    assert_eq!(answer(session.as_ref()), answer(expected.as_ref()), "{engine}, {count} rows");
                });
            }
        });
    }
}

#[test]
fn values_inside_a_mapped_network_are_answered() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("large.onnx");
    std::fs::write(&path, large()).expect("written");
    for engine in usable() {
        let options = LoadOptions { threads: 1, lanes: 1, outputs: vec!["r1".into()], is_optimised: true };
        let mut session = engine.load(mapped(&path), &options).expect("loads");
        session.settle(&[rows(1)], false).expect("settles");
        let answer = session.run(vec![rows(2)], Parallelism::One).expect("runs");
        assert_eq!(answer[0].shape(), [2, 2048], "{}", engine.name());
    }
}

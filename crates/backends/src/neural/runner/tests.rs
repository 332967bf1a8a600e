//! The queue, with a session that says what was run together.

use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use super::*;
use crate::neural::engine::Port;

/// Answers each row's value, doubled, and refuses -1; holds every run until `held` is false.
struct Doubling {
    held: Arc<(Mutex<bool>, Condvar)>,
    runs: Arc<Mutex<Vec<usize>>>,
    at_once: AtomicUsize,
    most: Arc<AtomicUsize>,
}

impl Session for Doubling {
    fn inputs(&self) -> &[Port] {
        &[]
    }

    fn outputs(&self) -> &[Port] {
        &[]
    }

    fn run(&self, inputs: Vec<Tensor>, _parallelism: Parallelism) -> Result<Vec<Tensor>, EngineError> {
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let (held, changed) = &*self.held;
        let mut guard = lock(held);
        while *guard {
            guard = changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        drop(guard);
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        let rows = inputs[0].shape()[0];
        lock(&self.runs).push(rows);
        let Values::F32(values) = inputs[0].values() else { return Err(EngineError::new("floats")) };
        if values.contains(&-1.0) {
            return Err(EngineError::new("refused"));
        }
        let doubled = values.iter().map(|value| value * 2.0).collect();
        Ok(vec![Tensor::new(vec![rows, 1], Values::F32(doubled))?])
    }
}

struct Bench {
    runner: Runner,
    held: Arc<(Mutex<bool>, Condvar)>,
    runs: Arc<Mutex<Vec<usize>>>,
    most: Arc<AtomicUsize>,
}

fn bench(lanes: usize, rows_together: usize) -> Bench {
    let held = Arc::new((Mutex::new(true), Condvar::new()));
    let (runs, most) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let session = Doubling {
        held: Arc::clone(&held),
        runs: Arc::clone(&runs),
        at_once: AtomicUsize::new(0),
        most: Arc::clone(&most),
    };
    let profile = ExecutionProfile { rows_together, alone_on_all_threads: false, row_time: Duration::from_millis(1) };
    Bench { runner: Runner::new(Box::new(session), lanes, profile), held, runs, most }
}

impl Bench {
    /// `values` as callers that all come while the first ones are held; their answers in order.
    fn together(&self, values: &[f32], lanes: usize) -> Vec<Result<f32, EngineError>> {
        std::thread::scope(|scope| {
            let ask = |value: f32| {
                let batch = Tensor::new(vec![1, 1], Values::F32(vec![value])).expect("fits");
                let outputs = self.runner.run(batch)?;
                let Values::F32(values) = outputs[0].values() else { return Err(EngineError::new("floats")) };
                Ok(values[0])
            };
            let callers: Vec<_> = values.iter().map(|&value| scope.spawn(move || ask(value))).collect();
            while lock(&self.runner.queue).waiting.len() + lanes < values.len() {
                std::thread::yield_now();
            }
            *lock(&self.held.0) = false;
            self.held.1.notify_all();
            callers.into_iter().map(|caller| caller.join().expect("answers")).collect()
        })
    }
}

#[test]
fn everybody_gets_the_own_answer_and_lanes_bound_the_runs() {
    let bench = bench(2, 1);
    let values: Vec<f32> = (0..10u8).map(f32::from).collect();
    let answers = bench.together(&values, 2);
    let expected: Vec<_> = values.iter().map(|value| Ok(value * 2.0)).collect();
    assert_eq!(answers, expected);
    assert_eq!(bench.most.load(Ordering::SeqCst), 2);
    assert_eq!(*lock(&bench.runs), [1; 10]);
}

#[test]
fn those_who_wait_are_joined_up_to_the_measured_size() {
    let bench = bench(1, 4);
    let values: Vec<f32> = (0..10u8).map(f32::from).collect();
    let answers = bench.together(&values, 1);
    let expected: Vec<_> = values.iter().map(|value| Ok(value * 2.0)).collect();
    assert_eq!(answers, expected);
    assert_eq!(*lock(&bench.runs), [1, 4, 4, 1]);
}

#[test]
fn nobody_suffers_for_a_neighbour_and_the_queue_goes_on() {
    let bench = bench(1, 8);
    let answers = bench.together(&[1.0, -1.0, 3.0, 4.0], 1);
    assert!(answers[1].is_err());
    assert_eq!([&answers[0], &answers[2], &answers[3]], [&Ok(2.0), &Ok(6.0), &Ok(8.0)]);
    let batch = Tensor::new(vec![1, 1], Values::F32(vec![21.0])).expect("fits");
    let answer = bench.runner.run(batch).expect("goes on");
    assert_eq!(answer[0].values(), &Values::F32(vec![42.0]));
    assert_eq!(lock(&bench.runner.queue).free_lanes, 1);
}

#[test]
fn a_run_that_gives_way_leaves_a_lane_and_comes_after_everybody() {
    let bench = bench(2, 1);
    let batch = |value: f32| Tensor::new(vec![1, 1], Values::F32(vec![value])).expect("fits");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| bench.runner.run(batch(1.0)));
        while lock(&bench.runner.queue).free_lanes == 2 {
            std::thread::yield_now();
        }
        let last = scope.spawn(|| {
            priority::give_way();
            bench.runner.run(batch(3.0))
        });
        while lock(&bench.runner.queue).giving_way == 0 {
            std::thread::yield_now();
        }
        // It waits although a lane is free, which the next client gets at once.
        let second = scope.spawn(|| bench.runner.run(batch(2.0)));
        while lock(&bench.runner.queue).free_lanes > 0 {
            std::thread::yield_now();
        }
        assert!(lock(&bench.runner.queue).waiting.is_empty());
        *lock(&bench.held.0) = false;
        bench.held.1.notify_all();
        for (run, answer) in [(first, 2.0), (second, 4.0), (last, 6.0)] {
            let outputs = run.join().expect("runs").expect("answers");
            assert_eq!(outputs[0].values(), &Values::F32(vec![answer]));
        }
    });
    assert_eq!(lock(&bench.runner.queue).free_lanes, 2);
}

//! Where a training goes on after one that failed.

use super::*;

#[test]
fn what_failed_before_its_first_checkpoint_loses_no_progress() {
    let mllib = |rate: f64, iterations: u64, resume: bool| {
        json!({"template": "mlp", "layers": [8], "nclasses": 3, "seed": 1, "resume": resume, "net": {"batch_size": 40},
            "solver": {"iterations": iterations, "base_lr": rate, "test_interval": 10}})
    };
    let bench = Bench::new();
    let (first, trained) = bench.train(&mllib(0.01, 100, false), &iris()).unwrap();
    assert!(trained.best.unwrap().iteration < 100, "the best is not the last");
    let begins = |bench: &Bench| {
        let plan = bench.plan(&mllib(1e-9, 110, true), DataKind::Table, &|| Ok(None)).unwrap();
        let path = plan.resumes_from().unwrap();
        (path.parent().unwrap().to_owned(), path.file_name().unwrap().to_str().unwrap().to_owned())
    };
    let last = (first.clone(), checkpoint::file_name(100));
    // One that diverges, one killed as it begins, and one whose data does not fit: each holds at most a copy of the best.
    let error = bench.train(&mllib(1e38, 110, true), &iris()).unwrap_err();
    assert!(error.to_string().contains("diverged"), "{error}");
    assert_eq!(begins(&bench), last);
    let runs = bench.repository.runs().unwrap();
    assert_eq!(checkpoints(runs[1].directory()).len(), 1, "the copy of the best");
    bench.repository.begin_run().unwrap();
    assert_eq!(begins(&bench), last);
    let other = fitted(table("iris_train.csv", 1, true, 0.2), Some(table("digits_test.csv", 1, true, 1.0)));
    bench.train(&mllib(0.01, 110, true), &other).unwrap_err();
    assert_eq!(begins(&bench), last);
    // What a run wrote itself counts, unless it cannot be gone on from.
    let (resumed, _) = bench.train(&mllib(1e-9, 105, true), &iris()).unwrap();
    assert_eq!(begins(&bench), (resumed.clone(), checkpoint::file_name(105)));
    let path = resumed.join(checkpoint::file_name(105));
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(begins(&bench), last);
}

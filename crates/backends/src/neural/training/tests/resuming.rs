//! Where a training goes on after one that failed, or that had come to its end.

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
        let plan = bench.plan(&mllib(1e-9, 110, true), DataKind::Table, &|_| Ok(None)).unwrap();
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

#[test]
fn a_resume_with_nothing_left_tests_the_last_iteration_that_was_done() {
    for iterations in [50, 40] {
        let mllib = |iterations: u64, resume: bool| json!({"template": "mlp", "nclasses": 3, "seed": 1, "resume": resume, "solver": {"iterations": iterations}});
        let bench = Bench::new();
        bench.train(&mllib(50, false), &iris()).unwrap();
        let (directory, _) = bench.train(&mllib(iterations, true), &iris()).unwrap();
        assert_eq!(bench.progress.figures().histories["iteration"], [0.0, 49.0, 49.0], "{iterations}");
        assert!(checkpoints(&directory).contains(&50), "{iterations}");
        assert_eq!(bench.progress.figures().iteration, Some(49), "{iterations}");
    }
}

#[test]
fn a_network_of_images_is_resumed_as_it_began() {
    use dede_graph::templates::{Head, Template, TemplateOptions};
    let mllib = |iterations: u64, resume: bool| {
        json!({"template": "convnet", "layers": ["1CR4", "8"], "nclasses": 2, "seed": 1, "resume": resume,
            "net": {"batch_size": 8}, "solver": {"iterations": iterations, "base_lr": 1e-4}})
    };
    let mut data = fitted(table("iris.csv", 1, true, 1.0), None);
    data.train = Box::new(Lines(24));
    data.shape = SampleShape::Image { width: Some(12), height: Some(12), channels: 1 };
    let options = TemplateOptions::new(dede_graph::Shape::image(1, 12, 12), Head::Classification { classes: 2 });
    let layers = ["1CR4".to_owned(), "8".to_owned()];
    let mut network = Template::parse("convnet", &layers).unwrap().build(&options).unwrap();
    network.initialize(|| 0.6).unwrap();
    // Drawn anew, images are standardized; what begins with other weights takes them as they are.
    for held in [None, Some(Held::Network(network))] {
        let bench = Bench::new();
        let existing = |_| Ok(held.clone());
        for resume in [false, true] {
            let iterations = if resume { 4 } else { 2 };
            let plan = bench.plan(&mllib(iterations, resume), DataKind::Images, &existing).unwrap();
            let (directory, _) = bench.run(plan, &data).unwrap();
            assert_eq!(standardization::is_in(&served(&directory)), held.is_none(), "resume {resume}");
        }
    }
}

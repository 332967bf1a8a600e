//! The standard cases of a backend that has a trained network to serve.

use dede_model::backend::{Backend, EngineOptions, Model, OpenRequest, Opened, PredictOptions, ServiceType};
use dede_model::data::{Image, Pixels, Samples};
use dede_model::error::Error;
use dede_model::outputs::Outputs;
use dede_model::parameters::Section;
use dede_model::parameters::keys::Call;
use dede_model::repository::Repository;
use dede_model::request_memory::MemoryShare;
use dede_model::tensor::Floats;
use serde_json::json;

/// A backend with a repository it can serve.
pub struct BackendCase<'a> {
    /// The backend.
    pub backend: &'a dyn Backend,
    /// Holds a trained network.
    pub repository: &'a Repository,
    /// `parameters.mllib` of the service.
    pub mllib: Section,
    /// `parameters.input` of the service.
    pub input: Section,
    /// At least two different samples that the network takes.
    pub samples: Samples,
    /// How engines run.
    pub engine: EngineOptions,
    /// Largest difference between an answer alone and in a batch.
    pub tolerance: f32,
}

/// Runs all cases.
///
/// # Panics
/// At the first rule that the backend breaks, saying which.
pub fn backend_suite(case: &BackendCase<'_>) {
    assert!(case.samples.len() > 1, "the suite needs two samples");
    assert!(case.backend.accepts(case.samples.kind(), ServiceType::Supervised), "the backend takes the case's samples");
    let opened = opens(case);
    let model = opened.model.as_deref().expect("the repository holds a trained network");
    assert_eq!(opened.task, Some(model.description().task), "the task is that of the model");
    assert!(!model.description().engine.is_empty() && model.description().parameters > 0);
    answers_batches_like_singles(case, model);
    answers_concurrently(case, model);
    refuses_what_does_not_fit(case, model);
}

fn request<'a>(case: &'a BackendCase<'_>, mllib: &'a Section, none: &'a Section) -> OpenRequest<'a> {
    OpenRequest {
        repository: case.repository,
        mllib,
        mllib_in_call: mllib,
        mllib_stored: none,
        input: &case.input,
        model: none,
        service_type: ServiceType::Supervised,
        kind: case.samples.kind(),
        engine: &case.engine,
    }
}

fn opens(case: &BackendCase<'_>) -> Opened {
    let none = Section::new();
    let files = case.repository.files().expect("listed");
    let mut mllib = case.mllib.clone();
    mllib.insert("no_such_parameter".to_owned(), json!(1));
    let table = case.backend.keys();
    let remarks =
        table.check(&mllib, "parameters.mllib", Call::Create, &none).expect("parameters of the case are accepted");
    assert_eq!(remarks.unknown, ["parameters.mllib.no_such_parameter"]);
    assert_eq!(table.ambiguous(), [""; 0]);

    let opened = case.backend.open(&request(case, &case.mllib, &none)).expect("opens");
    assert!(!opened.files.is_empty(), "some file decides the answers");
    for file in &opened.files {
        assert!(file.path.is_file(), "{} is a file", file.path.display());
        assert!(!file.name.starts_with('/') && !file.name.is_empty(), "names are relative: {:?}", file.name);
    }
    assert_eq!(case.repository.files().expect("listed"), files, "opening writes nothing");
    opened
}

fn answer(model: &dyn Model, samples: &Samples, batch_size: Option<usize>) -> Vec<Vec<f32>> {
    let options = PredictOptions { batch_size, ..PredictOptions::default() };
    let rows = rows(&model.predict(samples, &options, &MemoryShare::unbounded()).expect("answers"));
    assert_eq!(rows.len(), samples.len(), "one answer per sample");
    rows
}

fn rows(outputs: &Outputs) -> Vec<Vec<f32>> {
    let (Outputs::Classification(tensor) | Outputs::Regression(tensor) | Outputs::Features(tensor)) = outputs else {
        panic!("expected rows, found {outputs:?}");
    };
    (0..tensor.rows()).map(|row| tensor.row(row).to_vec()).collect()
}

/// The samples at `indices`, in that order.
fn select(samples: &Samples, indices: &[usize]) -> Samples {
    match samples {
        Samples::Table(table) => {
            let values = indices.iter().flat_map(|&index| table.row(index).to_vec()).collect();
            Samples::Table(Floats::new(vec![indices.len(), table.row_len()], values).expect("rows of equal length"))
        }
        Samples::Images { images, normalization } => Samples::Images {
            images: indices.iter().map(|&index| images[index].clone()).collect(),
            normalization: normalization.clone(),
        },
    }
}

fn answers_batches_like_singles(case: &BackendCase<'_>, model: &dyn Model) {
    let count = case.samples.len();
    let together = answer(model, &case.samples, None);
    assert!(together.iter().flatten().all(|value| value.is_finite()), "answers are finite");
    assert_ne!(together[0], together[1], "the samples of the case have different answers");
    for batch_size in 1..=count {
        assert_close(&together, &answer(model, &case.samples, Some(batch_size)), case.tolerance);
    }
    let reversed: Vec<_> = (0..count).rev().collect();
    let mut backwards = answer(model, &select(&case.samples, &reversed), None);
    backwards.reverse();
    assert_close(&together, &backwards, case.tolerance);
    for index in 0..count {
        let alone = answer(model, &select(&case.samples, &[index]), None);
        assert_close(&together[index..=index], &alone, case.tolerance);
    }
}

fn assert_close(expected: &[Vec<f32>], found: &[Vec<f32>], tolerance: f32) {
    for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
        assert_eq!(expected.len(), found.len(), "values of answer {index}");
        for (expected, found) in expected.iter().zip(found) {
            assert!((expected - found).abs() <= tolerance, "answer {index}: expected {expected}, found {found}");
        }
    }
}

fn answers_concurrently(case: &BackendCase<'_>, model: &dyn Model) {
    let expected = answer(model, &case.samples, None);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_close(&expected, &answer(model, &case.samples, None), case.tolerance));
        }
    });
}

fn refuses_what_does_not_fit(case: &BackendCase<'_>, model: &dyn Model) {
    let pixel = Image {
        width: 1,
        height: 1,
        channels: 4,
        pixels: Pixels::U8(vec![0; 4]),
        original_width: 1,
        original_height: 1,
        frame: None,
    };
    let row = |columns| Samples::Table(Floats::new(vec![1, columns], vec![0.0; columns]).expect("one row"));
    let misfits = match &case.samples {
        Samples::Table(table) => [
            row(table.row_len() + 1),
            Samples::Images { images: vec![pixel], normalization: dede_model::data::Normalization::default() },
        ],
        Samples::Images { normalization, .. } => {
            [Samples::Images { images: vec![pixel], normalization: normalization.clone() }, row(3)]
        }
    };
    for misfit in misfits {
        match model.predict(&misfit, &PredictOptions::default(), &MemoryShare::unbounded()) {
            Err(Error::BadParameter(_)) => {}
            other => panic!("samples that do not fit are a bad parameter, found {other:?}"),
        }
    }
    let unknown_layer = PredictOptions { extract_layer: Some("no such layer".to_owned()), ..PredictOptions::default() };
    match model.predict(&case.samples, &unknown_layer, &MemoryShare::unbounded()) {
        Err(Error::BadParameter(fault)) => assert!(fault.to_string().contains("no such layer"), "{fault}"),
        other => panic!("an unknown layer is a bad parameter, found {other:?}"),
    }
}

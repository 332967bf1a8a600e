//! Which files of a repository are chosen, and what is said of those that are not.

use dede_model::backend::{ServiceType, Task};
use dede_model::data::SampleShape;
use dede_model::labels::Labels;
use dede_model::repository::{NewRecord, ServiceRecord, StoredParameters};
use serde_json::json;

use super::*;

pub(super) fn repository(files: &[(&str, &str)]) -> (tempfile::TempDir, Repository) {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, content) in files {
        fs::write(directory.path().join(name), content).expect("written");
    }
    let repository = Repository::open(directory.path(), false).expect("opened");
    (directory, repository)
}

/// Publishes a run, of which the record alone is there.
pub(super) fn publish(repository: &Repository) {
    let run = repository.begin_run().expect("begun");
    let record = ServiceRecord::new(NewRecord {
        mllib: "caffe".into(),
        connector: "csv".into(),
        service_type: ServiceType::Supervised,
        parameters: StoredParameters::default(),
        task: Task::Classification { classes: 3 },
        shape: SampleShape::Row { columns: 4 },
        labels: Labels::default(),
        network: "model.onnx".into(),
    });
    repository.complete(&run, &record).expect("completed");
    repository.publish(&run).expect("published");
}

fn model(weights: &str) -> Section {
    json!({ "weights": weights }).as_object().cloned().expect("an object")
}

fn weights(files: &[(&str, &str)], model: &Section) -> Result<Option<String>> {
    let (_directory, repository) = repository(files);
    Files::find(&repository, model).map(|files| files.weights)
}

#[test]
fn weights_are_chosen_by_name_then_best_then_iteration() {
    let (zero, hundred, thousand) =
        (("m_iter_0.caffemodel", ""), ("m_iter_100.caffemodel", ""), ("m_iter_1000.caffemodel", ""));
    let none = Section::new();
    let cases = [
        (vec![zero, hundred, thousand], &none, Some("m_iter_1000.caffemodel")),
        (vec![zero, hundred, thousand, ("best_model.txt", "iteration:100\nf1:1")], &none, Some(hundred.0)),
        (vec![zero, thousand, ("best_model.txt", "iteration:100\nf1:1")], &none, Some(thousand.0)),
        (vec![zero, thousand, ("best_model.txt", "nonsense")], &none, Some(thousand.0)),
        (vec![zero, hundred, ("best_model.txt", "iteration:100")], &model(zero.0), Some(zero.0)),
        (vec![("bvlc.caffemodel", "")], &none, Some("bvlc.caffemodel")),
        (vec![("bvlc.caffemodel", ""), zero], &none, Some(zero.0)),
        (vec![("deploy.prototxt", "")], &none, None),
    ];
    for (files, model, expected) in cases {
        assert_eq!(weights(&files, model).expect("found").as_deref(), expected, "{files:?}");
    }
}

#[test]
fn the_mean_image_is_the_one_that_the_network_names() {
    let transform = |file: Option<&str>| Transform { mean_file: file.map(str::to_owned), ..Transform::default() };
    let (usual, other, similar) = (("mean.binaryproto", ""), ("train.mean", ""), ("a_mean.binaryproto", ""));
    let found = |files: &[(&str, &str)], file: Option<&str>| {
        let (_directory, repository) = repository(files);
        let files = Files::find(&repository, &Section::new()).expect("found");
        files.mean(&transform(file)).map(|mean| mean.map(|mean| mean.name)).map_err(|error| error.to_string())
    };
    type Case<'a, T> = (&'a [(&'a str, &'a str)], Option<&'a str>, T);
    let kept = ("train_mean.binaryproto.bak", "");
    let cases: [Case<'_, Option<&str>>; 10] = [
        (&[], None, None),
        (&[kept], None, None),
        (&[kept, similar], None, Some(similar.0)),
        (&[usual], None, Some(usual.0)),
        (&[similar], None, Some(similar.0)),
        (&[similar, usual], None, Some(usual.0)),
        (&[other], None, None),
        (&[other], Some("train.mean"), Some(other.0)),
        (&[other], Some("/data/imagenet/train.mean"), Some(other.0)),
        (&[usual], Some("C:\\data\\mean.binaryproto"), Some(usual.0)),
    ];
    for (files, file, expected) in cases {
        assert_eq!(found(files, file), Ok(expected.map(str::to_owned)), "{files:?} {file:?}");
    }
    let refused: [Case<'_, &str>; 6] = [
        (&[], Some("train.mean"), "the network subtracts the mean image train.mean, which is not in the repository"),
        (&[usual], Some("train.mean"), "the mean image train.mean, which is not in the repository"),
        (&[other], Some("../train.mean/.."), "transform_param.mean_file"),
        (&[other], Some(""), "transform_param.mean_file"),
        (&[usual, other], Some("train.mean"), "train.mean and mean.binaryproto is there too"),
        (&[similar, ("b_mean.binaryproto", "")], None, "a_mean.binaryproto and b_mean.binaryproto are both there"),
    ];
    for (files, file, expected) in refused {
        let error = found(files, file).expect_err("refused");
        assert!(error.contains(expected), "{files:?} {file:?}: {error}");
    }
}

#[test]
fn weights_alone_stay_what_trainings_begin_with() {
    let (deploy, file) = (("deploy.prototxt", ""), ("m_iter_1.caffemodel", ""));
    for (files, alone) in [(vec![file], true), (vec![deploy, file], false), (vec![], false)] {
        let (_directory, repository) = repository(&files);
        for _ in 0..2 {
            let found = Files::find(&repository, &Section::new()).expect("found").lone_weights().expect("read");
            assert_eq!(found.is_some(), alone, "{files:?}");
            publish(&repository);
        }
    }
    let (_directory, repository) = repository(&[("m_iter_1.caffemodel", "PK\u{3}\u{4}")]);
    let error = Files::find(&repository, &Section::new()).expect("found").lone_weights().expect_err("an archive");
    assert!(error.to_string().contains("m_iter_1.caffemodel: not a caffemodel"), "{error}");
}

#[test]
fn of_several_descriptions_the_usual_one_counts() {
    let found = |files: &[(&str, &str)]| {
        let (_directory, repository) = repository(files);
        Files::find(&repository, &Section::new()).map(|files| files.deploy).map_err(|error| error.to_string())
    };
    let (usual, other) = (("deploy.prototxt", ""), ("a_deploy.prototxt", ""));
    assert_eq!(found(&[other, usual]), Ok(Some(usual.0.to_owned())));
    assert_eq!(found(&[other]), Ok(Some(other.0.to_owned())));
    let error = found(&[other, ("b_deploy.prototxt", "")]).expect_err("refused");
    assert!(error.contains("model.def") && error.contains("a_deploy.prototxt and b_deploy.prototxt"), "{error}");
}

#[test]
fn names_outside_or_missing_are_refused() {
    for name in ["absent.caffemodel", "../m_iter_0.caffemodel", "/etc/passwd", "sub/m_iter_0.caffemodel"] {
        let error = weights(&[("m_iter_0.caffemodel", "")], &model(name)).expect_err("refused").to_string();
        assert!(error.contains(name) && error.contains("model.weights"), "{error}");
    }
    let other = ("m_iter_0.caffemodel.h5", "");
    let error = weights(&[other], &Section::new()).expect_err("another format").to_string();
    assert!(error.contains("weights in HDF5") && error.contains(other.0), "{error}");
    assert!(weights(&[other, ("m_iter_0.caffemodel", "")], &Section::new()).is_ok());
    let two = [("a.caffemodel", ""), ("b.caffemodel", "")];
    let error = weights(&two, &Section::new()).expect_err("no rule chooses").to_string();
    assert!(error.contains("a.caffemodel and b.caffemodel"), "{error}");
}

#[test]
fn a_path_into_the_repository_is_its_name() {
    let (directory, repository) = repository(&[("m_iter_0.caffemodel", "")]);
    let path = directory.path().join("m_iter_0.caffemodel");
    let files = Files::find(&repository, &model(path.to_str().expect("text"))).expect("found");
    assert_eq!(files.weights.as_deref(), Some("m_iter_0.caffemodel"));
}

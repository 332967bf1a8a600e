//! Directories of classes as training and test sets.

use std::path::Path;

use dede_model::data::Targets;
use serde_json::json;

use crate::image::{circle, open, refusal, text};

/// Directories of classes, each with one image.
fn class_directories(classes: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for class in classes {
        let path = directory.path().join(class);
        std::fs::create_dir(&path).expect("a directory");
        std::fs::copy(circle(), path.join("image.jpg")).expect("a copy");
    }
    directory
}

#[test]
fn test_sets_have_no_classes_that_the_training_set_lacks() {
    let train = class_directories(&["cat", "dog"]);
    let tests = class_directories(&["dog", "horse"]);
    let list = tests.path().join("list.txt");
    std::fs::write(&list, "dog/image.jpg 1\n").expect("a list");
    let fit = |train: &Path, test: &Path| open(json!({"width": 8, "height": 8})).fit(&[text(train), text(test)]);
    let refused = refusal(fit(train.path(), tests.path()));
    assert!(refused.contains("class \"horse\" is none of the training set's"), "{refused}");
    let refused = refusal(fit(&list, tests.path()));
    assert!(refused.contains("expected a list file"), "{refused}");
    let few = class_directories(&["dog"]);
    let fitted = fit(train.path(), few.path()).expect("the test set has some of the classes");
    assert_eq!(fitted.tests[0].data.batch(&[0]).expect("an image").targets, Some(Targets::Classes(vec![1])));
}

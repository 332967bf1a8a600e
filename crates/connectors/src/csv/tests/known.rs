//! Keys of a request against what a training stored, and bounds against the columns that they belong to.

use serde_json::json;

use super::predict::{ROW_901, ROW_902, iris_state};
use super::*;

const ROW: &str = "5.1,3.5,1.4,0.2";

fn refused(parameters: &Value, data: &[&str], words: &[&str]) {
    let refused = asked(iris_state(), parameters.clone()).refuse(data);
    for word in words {
        assert!(refused.contains(word), "{parameters} {data:?}: {refused}");
    }
}

#[test]
fn keys_that_make_other_features_are_refused_with_what_is_known() {
    let known = "the network was trained with the features sl,sw,pl,pw, the id id, the label target";
    let cases = [
        (json!({"id": "sl"}), ["column sl holds numbers that are a feature", "parameters.input.id"]),
        (json!({"id": "target"}), ["column target is a label", "parameters.input.id"]),
        (json!({"label": "sl"}), ["column sl holds numbers that are a feature", "parameters.input.label"]),
        (json!({"label": "id"}), ["column id is the id", "parameters.input.label"]),
        (json!({"label": ["target", "x"]}), ["found 2 labels", "parameters.input.label"]),
        (json!({"ignore": ["sl"]}), ["column sl holds numbers that are a feature", "parameters.input.ignore"]),
        (json!({"categoricals": ["sl"]}), ["column sl holds numbers", "parameters.input.categoricals"]),
        (json!({"categoricals": ["zz"]}), ["column zz is not in the training data", "parameters.input.categoricals"]),
        (
            json!({"categoricals_mapping": {"sl": {"a": 0}}}),
            ["column sl holds numbers", "parameters.input.categoricals"],
        ),
    ];
    let (_directory, path) = written(format!("sl,sw,pl,pw\n{ROW}\n"));
    for (parameters, [what, key]) in &cases {
        for data in [&[ROW][..], &["sl,sw,pl,pw", ROW], &["901,5.1,3.5,1.4,0.2"], &[&path]] {
            refused(parameters, data, &[what, key, known]);
        }
        // A service that is created with them is refused at once.
        let creation = Setup { in_call: false, network_columns: Some(4), ..asked(iris_state(), parameters.clone()) };
        assert!(creation.try_open().is_err(), "{parameters}");
    }
    refused(
        &json!({"columns": ["a", "b"]}),
        &[ROW],
        &["has the columns id,sl,sw,pl,pw,target", "parameters.input.columns"],
    );
}

#[test]
fn a_column_that_the_training_has_not_must_stand_in_a_header() {
    let (_directory, path) = written("sl,sw,pl,pw\n5.1,3.5,1.4,0.2\n");
    for (parameters, what) in [
        (json!({"id": "Id"}), "cannot find id column Id"),
        (json!({"id": "zz"}), "cannot find id column zz"),
        (json!({"label": "Target"}), "cannot find label column Target"),
        (json!({"ignore": ["zz"]}), "cannot find column zz"),
    ] {
        for data in [&[ROW][..], &["1,5.1,3.5,1.4,0.2"], &["sl,sw,pl,pw", ROW], &[&path]] {
            refused(&parameters, data, &[what]);
        }
        refused(&parameters, &[ROW], &["the training data has id,sl,sw,pl,pw,target"]);
    }
    refused(&json!({"id": "ID"}), &["id,sl,sw,pl,pw", "1,5.1,3.5,1.4,0.2"], &["column 1 is \"id\", not \"ID\""]);
    // Names that are known are in order, whether a line has them or not; empty ones ask for nothing.
    for parameters in [
        json!({"id": "id", "label": "target", "ignore": ["id"]}),
        json!({"ignore": ["target"]}),
        json!({"ignore": ["id", "target"]}),
        json!({"label": ""}),
        json!({"label": []}),
        json!({"columns": []}),
        json!({"columns": ["id", "sl", "sw", "pl", "pw", "target"]}),
        json!({"autoencoder": true}),
    ] {
        for data in [&[ROW][..], &["pw,pl,sw,sl", "0.2,1.4,3.5,5.1"], &["901,5.1,3.5,1.4,0.2,0"]] {
            assert_near(&features(&asked(iris_state(), parameters.clone()).read(data)), &[&ROW_901]);
        }
    }
    let unnamed = asked(iris_state(), json!({"ignore": ["id", "target"]})).read(&["901,5.1,3.5,1.4,0.2,0"]);
    assert_eq!((unnamed.uris, unnamed.targets), (vec!["1".to_owned()], None));
}

#[test]
fn other_columns_of_a_file_may_be_id_label_or_ignored() {
    let header = "key,pw,class,pl,sw,sl,note";
    let row = "k1,0.2,1,1.4,3.5,5.1,?";
    let setup = asked(iris_state(), json!({"id": "key", "label": "class", "ignore": ["note"]}));
    let (_directory, path) = written(format!("{header}\n{row}\n"));
    for data in [&[header, row][..], &[&path]] {
        let batch = setup.read(data);
        assert_near(&features(&batch), &[&ROW_901]);
        assert_eq!((classes(&batch), &batch.uris[..]), (vec![1], &["k1".to_owned()][..]));
    }
    // Where the label would stand it is the id all the same.
    let last = asked(iris_state(), json!({"id": "key"})).read(&["sl,sw,pl,pw,key", "5.1,3.5,1.4,0.2,k1"]);
    assert_eq!((features(&last), last.uris), (features(&setup.read(&[header, row])), vec!["k1".to_owned()]));
    refused(
        &json!({"id": "key"}),
        &["key,u,v,w,x", "k1,5.1,3.5,1.4,0.2"],
        &["neither the header of the training data nor a row"],
    );
    refused(
        &json!({"id": "key", "ignore": ["key"]}),
        &["key,sl,sw,pl,pw", "1,5.1,3.5,1.4,0.2"],
        &["is named by id, too"],
    );
    // Without an id in the training data, and with one among the columns that it left out.
    for (training, ignore) in
        [(["a,b,c,y", "1,2,3,0", "5,6,7,1"], json!([])), (["key,a,b,y", "1,2,3,0", "5,6,7,1"], json!(["key"]))]
    {
        let fitted = sent(json!({"label": "y", "ignore": ignore})).open().fit(&strings(&training)).expect("right");
        let (header, expected) =
            if ignore == json!([]) { ("key,c,b,a", vec![2.0, 4.0, 8.0]) } else { ("key,b,a", vec![4.0, 8.0]) };
        let row = if ignore == json!([]) { "k1,8,4,2" } else { "k1,8,4" };
        let batch = asked(fitted.state, json!({"id": "key"})).read(&[header, row]);
        assert_eq!((features(&batch), batch.uris), (vec![expected], vec!["k1".to_owned()]), "{header}");
    }
}

#[test]
fn the_numbers_of_categories_stay_those_of_the_training() {
    let state = sent(json!({"label": "y", "categoricals": ["colour"]}))
        .open()
        .fit(&strings(&["colour,a,y", "red,1,0", "blue,2,1"]))
        .expect("the data is right")
        .state;
    let mapping = |values: Value| json!({"categoricals_mapping": {"colour": values}});
    for sent in [json!({"red": 0, "blue": 1, "pink": 2}), json!({"red": 1, "blue": 0})] {
        let refused = asked(state.clone(), mapping(sent)).refuse(&["red,1"]);
        assert!(refused.contains("the training numbered the values red,blue"), "{refused}");
        assert!(refused.contains("parameters.input.categoricals_mapping.colour"), "{refused}");
    }
    let repeated = asked(state, mapping(json!({"red": 0, "blue": 1})));
    assert_eq!(features(&repeated.read(&["blue,7"])), [[0.0, 1.0, 7.0]]);
}

#[test]
fn bounds_belong_to_the_columns_that_they_are_as_many_as() {
    let bounds = |ranges: &[(f64, f64)]| {
        let (low, high): (Vec<f64>, Vec<f64>) = ranges.iter().copied().unzip();
        json!({"scale": true, "min_vals": low, "max_vals": high})
    };
    let features_only = [(4.3, 7.9), (2.0, 4.4), (1.0, 6.9), (0.1, 2.5)];
    let (id, label) = ((1.0, 150.0), (0.0, 2.0));
    let all = [&[id][..], &features_only, &[label]].concat();
    let with_id = ["901,5.1,3.5,1.4,0.2", "902,6.3,3.3,6.0,2.5"];
    let without = [ROW, "6.3,3.3,6.0,2.5"];
    for (ranges, data) in [
        (&all[..], &without),
        (&all[..], &with_id),
        (&all[1..], &without),
        (&all[1..5], &without),
        (&all[..5], &with_id),
    ] {
        let batch = asked(iris_state(), bounds(ranges)).read(data);
        assert_near(&features(&batch), &[&ROW_901, &ROW_902]);
    }
    for (ranges, data) in [(&all[1..5], &with_id), (&all[..3], &without)] {
        let refused = asked(iris_state(), bounds(ranges)).refuse(data);
        assert!(refused.contains("expected bounds for each column of the training data"), "{refused}");
    }
    // Where the training data is not known they count in the order of the line, and what is left over counts for nothing.
    let untrained = |ranges: &[(f64, f64)]| Setup { in_call: false, network_columns: Some(4), ..sent(bounds(ranges)) };
    for ranges in [&all[1..5], &all[1..]] {
        assert_near(&features(&untrained(ranges).read(&without)), &[&ROW_901, &ROW_902]);
    }
    assert_eq!(features(&untrained(&all).read(&without)), features(&untrained(&all[..4]).read(&without)));
    let two = over_labels(bounds(&[&features_only[..], &[label, label]].concat()));
    assert_near(&features(&sent(two).read(&without)), &[&ROW_901, &ROW_902]);
}

fn over_labels(mut parameters: Value) -> Value {
    parameters["label"] = json!(["x", "y"]);
    parameters
}

#[test]
fn keys_without_effect_are_refused_by_name() {
    for (parameters, words) in [
        (json!({"min_vals": [0], "max_vals": [1]}), ["scale: true alone", "parameters.input.min_vals"]),
        (json!({"mean_vals": [0], "variance_vals": [1]}), ["scale: true alone", "parameters.input.mean_vals"]),
        (json!({"scale_type": "znorm"}), ["scale: true alone", "parameters.input.scale_type"]),
        (
            json!({"scale": true, "scale_type": "znorm", "mean_vals": [0], "variance_vals": [1], "min_vals": [0]}),
            ["no effect with scale_type znorm", "parameters.input.min_vals"],
        ),
        (json!({"scale": true, "min_vals": [0]}), ["beside min_vals", "parameters.input.max_vals"]),
        (json!({"scale": true, "max_vals": [0]}), ["beside max_vals", "parameters.input.min_vals"]),
        (
            json!({"scale": true, "scale_type": "znorm", "mean_vals": [0], "variance_vals": [-1]}),
            ["variance_vals[0]: expected a variance of at least 0", "found -1"],
        ),
        (
            json!({"scale": true, "min_vals": [0, -1e308], "max_vals": [1, 1e308]}),
            ["max_vals[1] - min_vals[1]", "finite"],
        ),
        (json!({"label": "y", "label_offset": [0, 5]}), ["at most one for each label, 1, found 2", "label_offset"]),
        (json!({"label_offset": -1}), ["there is no label", "parameters.input.label_offset"]),
        (
            json!({"label": "y", "label_offset": "-1"}),
            ["expected a whole number, or a list of them, found", "label_offset"],
        ),
        (json!({"label": "y", "label_offset": [0.5]}), ["expected a whole number", "found 0.5"]),
        (json!({"label": 3}), ["expected a name, or a list of names, found 3", "parameters.input.label"]),
        (json!({"ignore": [3]}), ["expected a name, or a list of names, found 3", "parameters.input.ignore"]),
        (json!({"seed": -5}), ["expected -1", "parameters.input.seed"]),
        (
            json!({"label": "y", "label_offset": 1, "categoricals_mapping": {"y": {"a": 0}}}),
            ["label y is a categorical column", "parameters.input.label_offset"],
        ),
    ] {
        let refused = sent(parameters.clone()).try_open().err().map(|error| error.to_string()).unwrap_or_default();
        for word in words {
            assert!(refused.contains(word), "{parameters}: {refused:?}");
        }
    }
    for parameters in [
        json!({"scale": false, "min_vals": [0], "max_vals": [1]}),
        json!({"seed": -1, "label_offset": [], "min_vals": []}),
        json!({"label": "y", "label_offset": -1.0}),
    ] {
        assert!(sent(parameters.clone()).try_open().is_ok(), "{parameters}");
    }
    // What a service is created with are defaults of its trainings.
    for parameters in [json!({"scale_type": "znorm"}), json!({"label_offset": -1})] {
        assert!(Setup { in_call: false, ..sent(parameters.clone()) }.try_open().is_ok(), "{parameters}");
    }
    // The request alone counts: what the training stored is another matter.
    assert!(asked(iris_state(), json!({"scale": false})).try_open().is_ok());
    let offset =
        Setup { labels: Labels::from_names(["a", "b"]), ..sent(json!({"label": "y", "label_offset": -1, "id": "x"})) };
    let refused = offset.refuse(&["x,y", "1,a"]);
    assert!(refused.contains("label_offset is added to numbers"), "{refused}");
}

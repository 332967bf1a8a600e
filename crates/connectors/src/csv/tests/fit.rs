//! Training: bounds, categories, class names, splits, and what is stored for later predicts.

use dede_model::connector::Fitted;
use dede_model::data::Dataset;
use serde_json::json;

use super::*;

fn fit(setup: &Setup, data: &[&str]) -> Fitted {
    setup.open().fit(&strings(data)).expect("the data is right")
}

fn refuse(setup: &Setup, data: &[&str]) -> String {
    setup.try_open().and_then(|reader| reader.fit(&strings(data))).err().expect("refused").to_string()
}

fn all(dataset: &dyn Dataset) -> Batch {
    dataset.batch(&(0..dataset.len()).collect::<Vec<_>>()).expect("all rows")
}

/// Transcript 02: what the original answered to the same request.
#[test]
fn iris_has_the_recorded_bounds() {
    let parameters = json!({"label": "target", "id": "id", "separator": ",", "shuffle": true, "seed": 42,
                            "test_split": 0.2, "scale": true});
    for file in ["iris.csv", "iris_crlf.csv"] {
        let fitted = fit(&sent(parameters.clone()), &[&fixture(file)]);
        let expected = json!({"connector": "csv", "min_vals": [1.0, 4.3, 2.0, 1.0, 0.1, 0.0],
                              "max_vals": [150.0, 7.9, 4.4, 6.9, 2.5, 2.0]});
        assert_eq!(Value::Object(fitted.report), expected);
        assert_eq!((fitted.train.len(), fitted.tests.len(), fitted.tests[0].data.len()), (120, 1, 30));
        assert_eq!(fitted.tests[0].name, "");
        assert_eq!(fitted.shape, SampleShape::Row { columns: 4 });
        assert!(fitted.labels.is_empty());
        let mut uris = all(fitted.train.as_ref()).uris;
        uris.extend(all(fitted.tests[0].data.as_ref()).uris);
        let mut numbers: Vec<u32> = uris.iter().map(|uri| uri.parse().expect("a number")).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=150).collect::<Vec<_>>(), "every row once");
    }
}

#[test]
fn the_same_seed_gives_the_same_order() {
    let order = |seed: i64| {
        let setup = sent(json!({"label": "target", "shuffle": true, "seed": seed, "id": "id"}));
        all(fit(&setup, &[&fixture("iris.csv")]).train.as_ref()).uris
    };
    assert_eq!(order(42), order(42));
    assert_ne!(order(42), order(43));
}

#[test]
fn the_directory_alone_predicts_what_was_trained() {
    let parameters = json!({"label": "target", "id": "id", "scale": true, "categoricals": ["color"]});
    let fitted = fit(&sent(parameters), &[&fixture("iris_str.csv")]);
    let trained = all(fitted.train.as_ref());
    let reader = Setup { network_columns: Some(7), ..stored(fitted.state) }.open();
    let predicted = reader.read(&[fixture("iris_str.csv")]).expect("the same file");
    assert_eq!(predicted, trained, "to the last bit");
    let line = reader.read(&strings(&["5.9,3,5.1,1.8,red"])).expect("a line of features");
    assert_eq!(features(&line)[0], features(&trained)[0]);
}

#[test]
fn categories_are_numbered_by_first_appearance() {
    let setup = sent(json!({"label": "target", "id": "id", "scale": true, "categoricals": ["color"]}));
    let fitted = fit(&setup, &[&fixture("iris_str.csv")]);
    let mapping = &fitted.report["categoricals_mapping"]["color"];
    assert_eq!(serde_json::to_string(mapping).expect("writes"), r#"{"red":0,"green":1,"blue":2}"#);
    assert_eq!(fitted.report["min_vals"].as_array().map(Vec::len), Some(9));
    assert_eq!(fitted.shape, SampleShape::Row { columns: 7 });
}

/// The original's test of three mushrooms, with the label among the categories.
#[test]
fn one_hot_columns_stand_where_their_column_stood() {
    let columns = ["target", "cap-shape", "cap-surface", "cap-color", "bruises"];
    let setup = sent(json!({"label": "target", "categoricals": columns, "scale": true}));
    let fitted = fit(&setup, &[&columns.join(","), "p,x,s,n,t", "e,x,s,y,t", "e,b,s,w,t"]);
    let batch = all(fitted.train.as_ref());
    assert_eq!(
        features(&batch),
        [[1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]]
    );
    assert_eq!(classes(&batch), [0, 1, 1]);
    assert_eq!(fitted.labels.names().collect::<Vec<_>>(), ["p", "e"]);
    assert_eq!(fitted.report["min_vals"], json!([0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]), "nine columns");
}

#[test]
fn znorm_takes_mean_and_variance_of_all_columns() {
    let setup = sent(json!({"label": "y", "id": "id", "scale": true, "scale_type": "znorm"}));
    let fitted = fit(&setup, &["id,a,b,y", "1,2590,56,2", "2,4000,25,10"]);
    assert_eq!(fitted.report["mean_vals"], json!([1.5, 3295.0, 40.5, 6.0]));
    assert_eq!(fitted.report["variance_vals"], json!([0.25, 497_025.0, 240.25, 16.0]));
    let batch = all(fitted.train.as_ref());
    assert_eq!(features(&batch), [[-1.0, 1.0], [1.0, -1.0]]);
    assert_eq!(classes(&batch), [2, 10], "labels keep their values");
    assert_eq!(features(&stored(fitted.state).read(&["2590,56"])), [[-1.0, 1.0]]);
}

#[test]
fn text_labels_become_classes_by_first_appearance() {
    let setup = sent(json!({"label": "kind"}));
    let train = ["a,kind", "1,square", "2,circle", "3,square"];
    let fitted = fit(&setup, &train);
    assert_eq!(classes(&all(fitted.train.as_ref())), [0, 1, 0]);
    assert_eq!(fitted.labels.names().collect::<Vec<_>>(), ["square", "circle"]);

    let directory = tempfile::tempdir().expect("a directory");
    let (one, two) = (directory.path().join("one.csv"), directory.path().join("two.csv"));
    std::fs::write(&one, train.join("\n")).expect("written");
    std::fs::write(&two, "a,kind\n1,hexagon\n").expect("written");
    let refused = refuse(&setup, &[&one.display().to_string(), &two.display().to_string()]);
    assert!(refused.contains("label of column kind is none") && refused.contains("line 2"), "{refused}");
}

#[test]
fn offsets_shift_class_ids() {
    let lines = ["a,y", "1,1", "2,2"];
    for (offset, expected) in [(json!(-1), [0, 1]), (json!([3]), [4, 5])] {
        let fitted = fit(&sent(json!({"label": "y", "label_offset": offset})), &lines);
        assert_eq!(classes(&all(fitted.train.as_ref())), expected);
        assert_eq!(fitted.state["label_offset"].as_array().map(Vec::len), Some(1));
    }
}

#[test]
fn what_is_a_value_and_what_a_class() {
    let one = fit(&sent(json!({"label": "target", "id": "id"})), &[&fixture("diabetes.csv")]);
    assert_eq!(classes(&all(one.train.as_ref()))[..2], [151, 75]);
    let setup = Setup { regression: true, ..sent(json!({"label": "target", "id": "id", "scale": true})) };
    let one = fit(&setup, &[&fixture("diabetes.csv")]);
    assert_eq!(values(&all(one.train.as_ref()))[..2], [[151.0], [75.0]], "not scaled");
    let two = fit(&sent(json!({"label": ["target", "target2"], "id": "id"})), &[&fixture("diabetes2.csv")]);
    assert_eq!(values(&all(two.train.as_ref()))[..2], [[151.0, 75.5], [75.0, 37.5]]);
    assert_eq!(two.shape, SampleShape::Row { columns: 10 });
    let fractional = fit(&Setup { regression: true, ..sent(json!({"label": "y"})) }, &["a,y", "1,2", "2,2.5"]);
    assert_eq!(values(&all(fractional.train.as_ref())), [[2.0], [2.5]]);
    let autoencoder = fit(&sent(json!({"autoencoder": true})), &["a,b", "1,2"]);
    assert_eq!(values(&all(autoencoder.train.as_ref())), [[1.0, 2.0]]);
}

#[test]
fn a_second_file_is_the_test_set_and_takes_the_bounds_of_the_first() {
    let setup = sent(json!({"label": "y", "scale": true, "test_split": 0.5}));
    let directory = tempfile::tempdir().expect("a directory");
    let (train, test) = (directory.path().join("train.csv"), directory.path().join("test.csv"));
    std::fs::write(&train, "\u{feff}a,y,\n0,0,\n4,1,\n").expect("written");
    std::fs::write(&test, "y,a\n1,8\n").expect("written");
    let fitted = fit(&setup, &[&train.display().to_string(), &test.display().to_string()]);
    assert_eq!(features(&all(fitted.train.as_ref())), [[0.0], [1.0]], "not split");
    assert_eq!(features(&all(fitted.tests[0].data.as_ref())), [[2.0]]);
    assert_eq!(classes(&all(fitted.tests[0].data.as_ref())), [1]);
}

/// Tests and trainings that go on are told by names, as predicts are.
#[test]
fn a_header_of_other_names_is_refused_and_never_counted_by_position() {
    let rows = "1,2,0\n3,4,1\n";
    let (_train, train) = written(format!("a,b,y\n{rows}"));
    let state = fit(&sent(json!({"label": "y"})), &[&train]).state;
    for (header, word) in [
        ("p,q,y", "names no feature of the training data"),
        ("B,A,y", "column 2 is \"A\", not \"a\""),
        ("b,q,y", "is not in the training data"),
        ("1,2,0", "names no feature of the training data"),
    ] {
        let (_other, other) = written(format!("{header}\n{rows}"));
        let refused = refuse(&sent(json!({"label": "y"})), &[&train, &other]);
        assert!(refused.contains(word) && refused.contains("the test file"), "{header}: {refused}");
        let resumed = refuse(&asked(state.clone(), json!({"label": "y"})), &[&other]);
        assert!(resumed.contains(word) || resumed.contains("cannot find label column y"), "{header}: {resumed}");
    }
    let (_test, test) = written("note,y,b,a\n?,1,4,3\n");
    let refused = refuse(&sent(json!({"label": "y"})), &[&train, &test]);
    assert!(refused.contains("column 1 is not in the training data"), "{refused}");
    let (_test, test) = written("y,b,a\n1,4,3\n");
    let fitted = fit(&sent(json!({"label": "y"})), &[&train, &test]);
    assert_eq!(features(&all(fitted.tests[0].data.as_ref())), [[3.0, 4.0]]);
}

#[test]
fn a_resumed_training_may_have_an_id_of_its_own() {
    let first = fit(&sent(json!({"label": "y", "id": "id", "scale": true})), &["id,a,y", "1,0,0", "2,4,1"]);
    let again = fit(&asked(first.state.clone(), json!({"label": "y", "id": "key"})), &["key,y,a", "k,1,2"]);
    let batch = all(again.train.as_ref());
    assert_eq!((features(&batch), batch.uris), (vec![vec![0.5]], vec!["k".to_owned()]));
    assert_eq!(again.state, first.state, "what was trained stays what it was");
    let refused = refuse(&asked(first.state, json!({"label": "y", "ignore": ["a"]})), &["id,a,y", "1,2,0"]);
    assert!(refused.contains("column a holds numbers that are a feature"), "{refused}");
}

#[test]
fn a_resumed_training_keeps_bounds_categories_and_classes() {
    let first = sent(json!({"label": "y", "scale": true, "categoricals": ["c"]}));
    let first = fit(&first, &["a,c,y", "0,red,no", "4,blue,yes"]);
    let resume = || Setup { labels: first.labels.clone(), ..stored(first.state.clone()) };
    let again = fit(&resume(), &["y,c,a", "yes,blue,8"]);
    let batch = all(again.train.as_ref());
    assert_eq!((features(&batch), classes(&batch)), (vec![vec![2.0, 0.0, 1.0]], vec![1]));
    assert_eq!((&again.state, &again.labels), (&first.state, &first.labels));
    assert!(refuse(&resume(), &["a,c,y", "0,green,no"]).contains("unknown category green for variable c"));
    assert!(refuse(&resume(), &["a,c,y", "0,red,maybe"]).contains("label maybe of column y"));
}

#[test]
fn bounds_of_the_request_stand() {
    let given = json!({"label": "y", "scale": true, "min_vals": [0, 0], "max_vals": [16, 1]});
    let given = fit(&sent(given), &["a,y", "0,0", "8,1"]);
    assert_eq!(features(&all(given.train.as_ref())), [[0.0], [0.5]]);
}

#[test]
fn every_complaint_names_what_and_where() {
    let iris = fixture("iris.csv");
    let label = || sent(json!({"label": "target"}));
    let bounds =
        |count: usize| json!({"label": "y", "scale": true, "min_vals": vec![0; count], "max_vals": vec![1; count]});
    let cases: [(Setup, &[&str], &[&str]); 27] = [
        (label(), &[], &["missing data"]),
        (sent(json!({})), &[&iris], &["missing label column parameter"]),
        (sent(json!({"label": "y"})), &[&iris], &["cannot find label column y"]),
        (sent(json!({"label": "target", "id": "key"})), &[&iris], &["cannot find id column key"]),
        (label(), &["/nonexistent/a.csv"], &["cannot open file /nonexistent/a.csv"]),
        (label(), &[&iris, "/nonexistent/b.csv"], &["cannot open test file /nonexistent/b.csv"]),
        (label(), &[&iris, &iris, &iris], &["multiple test sets not supported"]),
        (label(), &[env!("CARGO_MANIFEST_DIR")], &["is a directory, requires a CSV file"]),
        (label(), &["a,target"], &["no data could be found"]),
        (label(), &["a,target", "1,0", "x,1"], &["column a is not a number", "data[2], column a"]),
        (label(), &["a,target", "1,"], &["the label, column target, is an empty cell", "data[1], column target"]),
        (label(), &["a,target", "1,0,5"], &["expected 2 columns (a,target), found 3", "data[1]"]),
        (sent(json!({"label": "target", "test_split": 0.9})), &["a,target", "1,0"], &["leaves nothing of 1 rows"]),
        (sent(json!({"label": ["target", "b"]})), &["target,b,c", "1,x,2"], &["column b is not a number"]),
        (
            sent(json!({"label": "y", "ignore": ["A"]})),
            &["a,y", "1,0"],
            &["cannot find column A", "not \"A\"", "input.ignore"],
        ),
        (
            sent(json!({"label": "y", "categoricals": ["zz"]})),
            &["a,y", "1,0"],
            &["cannot find column zz", "categoricals"],
        ),
        (
            sent(json!({"label": "y", "categoricals_mapping": {"zz": {"u": 0}}})),
            &["a,y", "1,0"],
            &["cannot find column zz", "categoricals"],
        ),
        (sent(json!({"label": "y", "ignore": ["y"]})), &["a,y", "1,0"], &["column y is named by ignore, too", "label"]),
        (
            sent(json!({"label": "y", "id": "i", "ignore": ["i"]})),
            &["i,a,y", "1,1,0"],
            &["column i is named by ignore, too", "parameters.input.id"],
        ),
        (sent(json!({"label": "y", "id": "y"})), &["a,y", "1,0"], &["column y is named by label, too", "input.id"]),
        (sent(json!({"label": "y"})), &["y,a,y", "0,1,0"], &["column y occurs twice in the header"]),
        (
            sent(bounds(1)),
            &["a,y", "1,0"],
            &["expected one for each column", "2, found 1", "parameters.input.min_vals"],
        ),
        (sent(bounds(3)), &["a,y", "1,0"], &["2, found 3", "parameters.input.min_vals"]),
        (
            sent(json!({"label": "y", "label_offset": -1})),
            &["a,y", "1,u"],
            &["the labels are text", "parameters.input.label_offset"],
        ),
        (
            sent(json!({"label": "y", "scale": true})),
            &["a,y", "-1e308,0", "1e308,1"],
            &["learnt bounds: max_vals[0] - min_vals[0] is no finite number"],
        ),
        (
            Setup { created: section(json!({"ignore": ["b"]})), ..sent(json!({"label": "y", "ignore": ["a"]})) },
            &["a,b,y", "1,2,0"],
            &["the service was created with another value", "column b holds numbers", "parameters.input.ignore"],
        ),
        (
            Setup { created: section(json!({"label": "b"})), ..sent(json!({"label": "y"})) },
            &["a,b,y", "1,2,0"],
            &["the service was created with another value", "parameters.input.label"],
        ),
    ];
    for (setup, data, words) in cases {
        let refused = refuse(&setup, data);
        for word in words {
            assert!(refused.contains(word), "{data:?}: {refused}");
        }
    }
}

#[test]
fn a_row_without_its_label_is_refused_with_its_line() {
    let one = || json!({"label": "kind"});
    let regression = || Setup { regression: true, ..sent(one()) };
    let cases = [
        (sent(one()), "a,kind\n1,square\n2,\n3,circle\n", "line 3"),
        (sent(one()), "a,kind\n1,square\n2,\"\"\n", "line 3"),
        (sent(one()), "a,kind\n1,\"  \"\n2,square\n", "line 2"),
        (sent(one()), "a,kind\n1,square\n2, \t\n", "line 3"),
        (sent(one()), "kind,a\nsquare,1\n\u{a0},2\n", "line 3"),
        (sent(one()), "a,kind\n1,0\n2, \n", "line 3"),
        (regression(), "a,kind\n1,0.5\n2,\n", "line 3"),
        (sent(json!({"label": ["kind", "b"]})), "a,kind,b\n1,0,1\n2,1,\n", "line 3, column b"),
        (sent(json!({"label": "kind", "categoricals": ["kind"]})), "a,kind\n1,square\n2,\n", "line 3"),
        (sent(json!({"label": "kind", "scale": true})), "a,kind\n1,square\n2,\n", "line 3"),
    ];
    for (setup, content, place) in cases {
        let (_directory, path) = written(content.as_bytes());
        let refused = refuse(&setup, &[&path]);
        assert!(refused.contains("is an empty cell: a row to train on needs its label"), "{content:?}: {refused}");
        assert!(refused.contains(&format!("rows.csv, {place}")), "{content:?}: {refused}");
        let lines: Vec<&str> = content.lines().collect();
        assert!(refuse(&setup, &lines).contains("needs its label"), "{content:?} as items");
    }
    let (_train, train) = written(b"a,kind\n1,square\n2,circle\n");
    let (_test, test) = written(b"a,kind\n1,square\n2, \n");
    let refused = refuse(&sent(one()), &[&train, &test]);
    assert!(refused.contains("needs its label") && refused.contains("line 3"), "{refused}");
    let known = Setup { labels: Labels::from_names(["square", ""]), ..stored(fit(&sent(one()), &[&train]).state) };
    assert!(refuse(&known, &["a,kind", "1,"]).contains("needs its label"), "in a training that is resumed");
    let mapped = json!({"label": "kind", "categoricals_mapping": {"kind": {"square": 0, " ": 1}}});
    assert!(refuse(&sent(mapped), &["a,kind", "1,square"]).contains("a name for each class"));
}

#[test]
fn an_empty_category_is_one_where_the_mapping_says_so() {
    let lines = ["c,y", "red,0", ",1"];
    let refused = refuse(&sent(json!({"label": "y", "categoricals": ["c"]})), &lines);
    assert!(
        refused.contains("column c has an empty cell: a category of its own, or a value that is missing?"),
        "{refused}"
    );
    assert!(refused.contains("data[2], column c"), "{refused}");
    let mapped = json!({"label": "y", "categoricals_mapping": {"c": {"red": 0, "": 1}}});
    assert_eq!(features(&all(fit(&sent(mapped), &lines).train.as_ref())), [[1.0, 0.0], [0.0, 1.0]]);
}

#[test]
fn a_file_that_is_not_utf8_is_refused_by_line() {
    let utf16: Vec<u8> = "a,kind\n1,square\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [&b"\xff\xfe"[..], &utf16].concat();
    let swapped: Vec<u8> = marked.chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect();
    for (content, words) in [
        (b"a,kind\n1,square\n2,caf\xe9\n".to_vec(), ["not UTF-8, by column 2", "rows.csv, line 3", "-f ISO-8859-1"]),
        (b"a,k\xefnd\n1,square\n".to_vec(), ["not UTF-8, by column 2", "rows.csv, line 1", "-f ISO-8859-1"]),
        (marked, ["the file is UTF-16", "rows.csv, line 1", "iconv -f UTF-16 -t UTF-8"]),
        (swapped, ["the file is UTF-16", "rows.csv, line 1", "iconv -f UTF-16 -t UTF-8"]),
        (utf16, ["zero bytes, as UTF-16", "rows.csv, line 1", "iconv -f UTF-16LE -t UTF-8"]),
    ] {
        let (_directory, path) = written(&content);
        for setup in [sent(json!({"label": "kind"})), sent(json!({"label": "a", "ignore": ["kind"]}))] {
            let refused = refuse(&setup, &[&path]);
            for word in words {
                assert!(refused.contains(word), "{content:?}: {refused}");
            }
        }
        let predicted = sent(json!({"ignore": ["kind"]})).refuse(&[&path]);
        assert!(predicted.contains(words[0]), "{content:?}: {predicted}");
    }
    let (_directory, path) = written("\u{feff}a,kind\n1,caf\u{e9}\n".as_bytes());
    let fitted = fit(&sent(json!({"label": "kind"})), &[&path]);
    assert_eq!(fitted.labels.names().collect::<Vec<_>>(), ["caf\u{e9}"]);
}

#[test]
fn a_header_without_the_column_is_shown_as_it_was_found() {
    let label = || sent(json!({"label": "target"}));
    let cases: [(Setup, &str, &[&str]); 8] = [
        (label(), "id;a;target\n1;2;0\n", &["cannot find label column target", "separator is ';'", "\"id;a;target\""]),
        (label(), "id\ta\ttarget\n1\t2\t0\n", &["separator is '\\t'", "\"id\\ta\\ttarget\""]),
        (label(), "\"id\"|\"target\"\n1|0\n", &["separator is '|'"]),
        (label(), "id target\n1 0\n", &["separator is ' '?"]),
        (label(), "id, a, target\n1, 2, 0\n", &["found 3 columns", "column 3 is \" target\", not \"target\""]),
        (label(), "id ,a ,target \n1,2,0\n", &["column 3 is \"target \", not \"target\""]),
        (label(), "id,a,Target\n1,2,0\n", &["column 3 is \"Target\", not \"target\""]),
        (sent(json!({"label": "a", "id": "id"})), " id,a\n1,2\n", &["cannot find id column id", "column 1 is \" id\""]),
    ];
    for (setup, content, words) in cases {
        let (_directory, path) = written(content.as_bytes());
        let refused = refuse(&setup, &[&path]);
        for word in words {
            assert!(refused.contains(word), "{content:?}: {refused}");
        }
    }
    let refused = refuse(&label(), &["id, a,b", "1,2,3"]);
    assert!(refused.ends_with("cannot find label column target: found id,\" a\",b"), "{refused}");
    // Of other files nothing is repeated, and to clients that may not read all files no line.
    let (_directory, path) = written(b"root:x:secret\n");
    for name in ["root", "target"] {
        let refused = refuse(&sent(json!({"label": name})), &[&path]);
        assert!(refused.contains("found 1 column") && !refused.contains("secret"), "{refused}");
    }
    let (directory, path) = written(b"id;secret;target\n");
    let roots = dede_storage::Roots::new(&[directory.path().to_owned()]).expect("a directory");
    let files = dede_storage::FileAccess::Beneath(roots);
    let guest = Setup { limits: InputLimits { files, ..InputLimits::default() }, ..label() };
    let refused = refuse(&guest, &[&path]);
    assert!(refused.contains("cannot find label column") && !refused.contains("secret"), "{refused}");
}

//! Predict: headers, ids, bounds, categories, files and lines.

use dede_model::connector::InputLimits;
use dede_model::data::SampleShape;
use serde_json::json;

use super::*;

/// Bounds of `iris.csv` as the original answered them.
fn iris_bounds() -> Value {
    json!({"id": "id", "scale": true, "min_vals": [1.0, 4.3, 2.0, 1.0, 0.1, 0.0],
           "max_vals": [150.0, 7.9, 4.4, 6.9, 2.5, 2.0]})
}

/// What a training on `iris.csv` leaves.
pub(super) fn iris_state() -> Section {
    let setup = sent(json!({"label": "target", "id": "id", "scale": true, "shuffle": true, "seed": 42}));
    setup.open().fit(&[fixture("iris.csv")]).expect("iris is right").state
}

pub(super) const ROW_901: [f64; 4] = [0.8 / 3.6, 1.5 / 2.4, 0.4 / 5.9, 0.1 / 2.4];
pub(super) const ROW_902: [f64; 4] = [2.0 / 3.6, 1.3 / 2.4, 5.0 / 5.9, 1.0];

#[test]
fn a_line_without_header_is_all_features() {
    let batch = stored(Section::new()).read(&["2590,56,2,212,5"]);
    assert_eq!(features(&batch), [[2590.0, 56.0, 2.0, 212.0, 5.0]]);
    assert_eq!(batch.uris, ["1"]);
    assert_eq!(batch.targets, None);
}

#[test]
fn the_id_of_a_line_with_header_is_its_uri() {
    let batch = sent(json!({"id": "id"})).read(&["id,val1,val2,val3,val4,val5", "2,2590,56,2,212,5"]);
    assert_eq!(features(&batch), [[2590.0, 56.0, 2.0, 212.0, 5.0]]);
    assert_eq!(batch.uris, ["2"]);
}

#[test]
fn bounds_of_the_request_scale_features_and_nothing_else() {
    let batch = sent(iris_bounds()).read(&["id,sl,sw,pl,pw", "901,5.1,3.5,1.4,0.2", "902,6.3,3.3,6.0,2.5"]);
    assert_near(&features(&batch), &[&ROW_901, &ROW_902]);
    assert_eq!(batch.uris, ["901", "902"]);
}

#[test]
fn every_way_of_writing_a_row_gives_the_stored_service_the_same_features() {
    let state = iris_state();
    let cases: [(&[&str], &str); 9] = [
        (&["5.1,3.5,1.4,0.2"], "1"),
        (&["901,5.1,3.5,1.4,0.2"], "901"),
        (&["901,5.1,3.5,1.4,0.2,0"], "901"),
        (&["5.1,3.5,1.4,0.2,"], "1"),
        (&["sl,sw,pl,pw", "5.1,3.5,1.4,0.2"], "1"),
        (&["id,sl,sw,pl,pw\r", "901,5.1,3.5,1.4,0.2\r\n"], "901"),
        (&["pw,pl,id,sw,sl", "0.2,1.4,901,3.5,5.1"], "901"),
        (&["id,sl,sw,pl,pw\n901,5.1,3.5,1.4,0.2\n"], "901"),
        (&["id,sl,sw,pl,pw,target", "901,5.1,3.5,1.4,0.2,0"], "901"),
    ];
    for (data, uri) in cases {
        let batch = stored(state.clone()).read(data);
        assert_near(&features(&batch), &[&ROW_901]);
        assert_eq!(batch.uris, [uri], "{data:?}");
    }
    let mut call = state.clone();
    call.extend(section(iris_bounds()));
    for data in [["5.1,3.5,1.4,0.2", "6.3,3.3,6.0,2.5"], ["901,5.1,3.5,1.4,0.2", "902,6.3,3.3,6.0,2.5"]] {
        let batch = Setup { in_call: true, ..stored(call.clone()) }.read(&data);
        assert_near(&features(&batch), &[&ROW_901, &ROW_902]);
    }
}

/// The same table as a file, as one item and as an item for each line.
pub(super) fn in_every_form(content: &str, check: impl Fn(&[&str])) {
    let (_directory, path) = written(content);
    check(&[&path]);
    check(&[content]);
    check(&content.lines().collect::<Vec<_>>());
}

#[test]
fn a_table_without_header_loses_no_row() {
    let rows = "5.1,3.5,1.4,0.2\n6.3,3.3,6.0,2.5\n";
    let with_id = "901,5.1,3.5,1.4,0.2\n902,6.3,3.3,6.0,2.5\n";
    let labelled = "901,5.1,3.5,1.4,0.2,0\n902,6.3,3.3,6.0,2.5,2\n";
    let mut call = iris_state();
    call.extend(section(json!({"id": "id"})));
    for setup in [stored(iris_state()), Setup { in_call: true, ..stored(call) }] {
        for (table, uris) in [
            (rows, ["1", "2"]),
            (with_id, ["901", "902"]),
            (labelled, ["901", "902"]),
            (format!("\u{feff}{rows}").as_str(), ["1", "2"]),
            (rows.replace('\n', "\r\n").as_str(), ["1", "2"]),
            (rows.replace('\n', ",\n").as_str(), ["1", "2"]),
        ] {
            in_every_form(table, |data| {
                let batch = setup.read(data);
                assert_near(&features(&batch), &[&ROW_901, &ROW_902]);
                assert_eq!(batch.uris, uris, "{data:?}");
            });
        }
        for table in [
            "id,sl,sw,pl,pw,target\n901,5.1,3.5,1.4,0.2,0\n",
            "sl,sw,pl,pw,id,target\n5.1,3.5,1.4,0.2,901,0\n",
            "\u{feff}sl,sw,pl,pw\n5.1,3.5,1.4,0.2\n",
        ] {
            in_every_form(table, |data| assert_near(&features(&setup.read(data)), &[&ROW_901]));
        }
    }
    let two = ["5.1,3.5,1.4,0.2\n", "6.3,3.3,6.0,2.5\n"].map(written);
    let batch = stored(iris_state()).read(&[&two[0].1, &two[1].1]);
    assert_near(&features(&batch), &[&ROW_901, &ROW_902]);
}

#[test]
fn categories_without_header_lose_no_row() {
    let state = sent(json!({"label": "y", "categoricals": ["colour"]}))
        .open()
        .fit(&strings(&["colour,a,y", "red,1,0", "blue,2,1"]))
        .expect("the data is right")
        .state;
    let mut call = state.clone();
    call.extend(section(json!({"categoricals_mapping": state["categoricals_mapping"]})));
    for setup in [stored(state), Setup { in_call: true, ..stored(call) }] {
        for table in ["red,1\nblue,2\n", "colour,a\nred,1\nblue,2\n", "red,1,0\nblue,2,1\n"] {
            in_every_form(table, |data| {
                assert_eq!(features(&setup.read(data)), [[1.0, 0.0, 1.0], [0.0, 1.0, 2.0]], "{data:?}");
            });
        }
        let refused = setup.refuse(&["pink,1"]);
        assert!(refused.contains("unknown category pink for variable colour"), "{refused}");
    }
}

#[test]
fn a_first_line_that_is_neither_header_nor_row_is_refused_with_both_readings() {
    let cases: [(&str, &[&str]); 8] = [
        (
            "id,a,b,c,d\n901,5.1,3.5,1.4,0.2\n",
            &[
                "neither the header",
                "nor a row",
                "names no feature of the training data, sl,sw,pl,pw",
                "id would be values",
            ],
        ),
        (
            "id,sl,sw,pl\n901,5.1,3.5,1.4\n",
            &["column pw of the training data is missing", "id,sl,sw,pl would be values"],
        ),
        ("sl,3.5,1.4,0.2\n", &["as a header, column 3.5 is not in the training data", "as a row, sl would be values"]),
        ("id,5.1,3.5,1.4,0.2\n", &["neither the header", "id would be values"]),
        (
            "a,b,c,d\n5.1,3.5,1.4,0.2\n",
            &["column sl is not a number", "since a header names sl,sw,pl,pw: found a,b,c,d"],
        ),
        ("sl;sw;pl;pw\n5.1;3.5;1.4;0.2\n", &["found 1", "the separator is ';' in \"sl;sw;pl;pw\"?"]),
        (" sl, sw, pl, pw\n5.1,3.5,1.4,0.2\n", &["column 1 is \" sl\", not \"sl\""]),
        ("SL,SW,PL,PW\n5.1,3.5,1.4,0.2\n", &["column 1 is \"SL\", not \"sl\""]),
    ];
    for (table, words) in cases {
        let refused = stored(iris_state()).refuse(&table.lines().collect::<Vec<_>>());
        for word in words {
            assert!(refused.contains(word), "{table:?}: {refused}");
        }
        let (_directory, path) = written(table);
        let refused = stored(iris_state()).refuse(&[&path]);
        assert!(refused.contains("rows.csv, line 1"), "{table:?}: {refused}");
    }
    let (_directory, path) = written("1,2\n3,4\n");
    for untrained in [stored(Section::new()), sent(json!({"id": "id"}))] {
        let refused = untrained.refuse(&[&path]);
        assert!(refused.contains("is the first line a header or a row?") && refused.contains("line 1"), "{refused}");
    }
}

/// The original's test of several targets (ut-caffeapi.cc): the header has other names where the labels stand.
#[test]
fn placeholders_may_stand_where_the_labels_do() {
    let state = sent(json!({"label": ["c", "m"], "scale": true, "categoricals": ["code"]}))
        .open()
        .fit(&strings(&["code,a,b,c,m", "B,0,10,1,2", "C,4,20,3,4"]))
        .expect("the data is right")
        .state;
    let mut call = state.clone();
    call.remove("label");
    call.extend(section(json!({"connector": "csv", "label": ["c", "m"]})));
    for setup in [stored(state), Setup { in_call: true, ..stored(call) }] {
        for table in [
            "code,a,b,x,y\nB,1,15,0,0\n",
            "code,a,b,x,y\nB,1,15,,\n",
            "code,a,b,c,y\nB,1,15,0,?\n",
            "b,a,code,x,y\n15,1,B,0,0\n",
        ] {
            in_every_form(table, |data| {
                let batch = setup.read(data);
                assert_eq!((features(&batch), batch.targets), (vec![vec![1.0, 0.0, 0.25, 0.5]], None), "{data:?}");
            });
        }
        for (table, word) in [
            ("x,code,a,b,y\n0,B,1,15,0\n", "column x is not in the training data"),
            ("code,a,b,x\nB,1,15,0\n", "column x is not in the training data"),
            ("code,a,b,c,m,x\nB,1,15,0,0,0\n", "column x is not in the training data"),
        ] {
            let refused = setup.refuse(&table.lines().collect::<Vec<_>>());
            assert!(refused.contains(word), "{table:?}: {refused}");
        }
    }
}

#[test]
fn files_are_read_with_their_header() {
    let file = fixture("iris_nolabel.csv");
    for setup in [sent(iris_bounds()), stored(iris_state())] {
        let batch = setup.read(&[&file]);
        assert_eq!(batch.uris, ["121", "122", "123", "124", "125"]);
        assert_eq!(features(&batch)[0].len(), 4);
        let url = format!("file://{file}");
        assert_eq!(setup.read(&[&url]), batch);
    }
    let batch = stored(iris_state()).read(&[&file, &fixture("iris_test.csv")]);
    assert_eq!((batch.uris.len(), batch.targets), (35, None), "not all rows have labels");
}

#[test]
fn labels_of_a_labelled_file_come_along() {
    let mut parameters = section(iris_bounds());
    parameters.insert("label".to_owned(), json!("target"));
    let batch = Setup { in_call: true, ..stored(parameters) }.read(&[&fixture("iris_test.csv")]);
    let found = classes(&batch);
    assert_eq!((found.len(), &found[..3]), (30, &[0, 1, 1][..]));
}

#[test]
fn a_row_without_its_label_is_no_mistake() {
    let batch = stored(iris_state()).read(&["id,sl,sw,pl,pw,target", "901,5.1,3.5,1.4,0.2,", "902,6.3,3.3,6.0,2.5,2"]);
    assert_near(&features(&batch), &[&ROW_901, &ROW_902]);
    assert_eq!(batch.targets, None);
}

#[test]
fn a_url_is_read_like_a_file() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/rows.csv", listener.local_addr().expect("bound"));
    let answering = std::thread::spawn(move || {
        use std::io::{BufRead, BufReader, Write};
        let (mut stream, _) = listener.accept().expect("a client");
        let request = BufReader::new(stream.try_clone().expect("a clone"));
        request.lines().map(|line| line.expect("a request")).find(String::is_empty);
        let body = "id,sl,sw,pl,pw\r\n901,5.1,3.5,1.4,0.2\r\n";
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).expect("an open connection");
    });
    let batch = stored(iris_state()).read(&[&url]);
    answering.join().expect("answered");
    assert_near(&features(&batch), &[&ROW_901]);
    assert_eq!(batch.uris, ["901"]);
}

#[test]
fn stored_class_names_decide_what_a_label_is() {
    let lines = ["a,kind", "1,square", "2,circle"];
    let labels = Labels::from_names(["circle", "square"]);
    let setup = Setup { labels, ..sent(json!({"label": "kind", "id": "a"})) };
    let mut named = setup.read(&lines);
    assert_eq!(classes(&named), [1, 0]);
    named.targets = None;
    assert!(setup.refuse(&["a,kind", "1,hexagon"]).contains("label hexagon of column kind"));
}

/// The categorical requests of transcript 02b, which the original refuses.
#[test]
fn categories_are_one_hot_in_place() {
    let parameters = json!({"id": "id", "scale": true,
        "min_vals": [1.0, 4.3, 2.0, 1.0, 0.1, 0.0, 0.0, 0.0, 0.0],
        "max_vals": [150.0, 7.9, 4.4, 6.9, 2.5, 1.0, 1.0, 1.0, 2.0],
        "categoricals_mapping": {"color": {"red": 0, "green": 1, "blue": 2}}, "label": "target"});
    let red = [&ROW_901[..], &[1.0, 0.0, 0.0]].concat();
    let blue = [&ROW_902[..], &[0.0, 0.0, 1.0]].concat();
    let setup = Setup { network_columns: Some(7), ..sent(parameters) };
    assert_near(&features(&setup.read(&["id,sl,sw,pl,pw,color", "901,5.1,3.5,1.4,0.2,red"])), &[&red]);
    assert_near(&features(&setup.read(&[&fixture("cat1.csv")])), &[&red, &blue]);
    let refused = setup.refuse(&["id,sl,sw,pl,pw,color", "901,5.1,3.5,1.4,0.2,pink"]);
    assert_eq!(refused, "unknown category pink for variable color (data[1], column color)");
}

#[test]
fn ignored_columns_are_left_out() {
    let batch = sent(json!({"id": "a", "ignore": ["c", "d"]})).read(&["a,b,c,d,e", "x,1,?,,2"]);
    assert_eq!((features(&batch), batch.uris), (vec![vec![1.0, 2.0]], vec!["x".to_owned()]));
}

#[test]
fn quotes_and_separators_are_as_asked() {
    let setup = sent(json!({"id": "the id", "separator": ";", "quote": "'"}));
    let batch = setup.read(&["'the id';b;c", "'x;y';'1';2"]);
    assert_eq!((features(&batch), batch.uris), (vec![vec![1.0, 2.0]], vec!["x;y".to_owned()]));
}

#[test]
fn every_complaint_names_what_and_where() {
    let header = "id,sl,sw,pl,pw";
    let iris = || Setup { network_columns: Some(4), ..sent(iris_bounds()) };
    let trained = || Setup { in_call: true, ..stored(iris_state()) };
    let cases: [(Setup, &[&str], &[&str]); 15] = [
        (iris(), &[], &["missing data"]),
        (iris(), &[""], &["no data could be found"]),
        (iris(), &[header], &["no data could be found"]),
        (iris(), &["/nonexistent/x.csv"], &["found 1: 1", "there is no file of that name"]),
        (iris(), &["id,sl,sw", "901,5.1,3.5"], &["the network takes 4 columns, found 2: sl,sw"]),
        (
            iris(),
            &[header, "901,5.1,abc,1.4,0.2"],
            &["column sw is not a number, use categoricals or ignore parameters instead", "data[1], column sw"],
        ),
        (iris(), &[header, "901,5.1,,1.4,0.2"], &["column sw is not a number", "an empty cell"]),
        (iris(), &[header, "901,5.1,nan,1.4,0.2"], &["column sw is not a finite number"]),
        (iris(), &[header, "901,1e999,3,1.4,0.2"], &["column sl is not a finite number"]),
        (iris(), &[header, "901,5.1"], &["expected 5 columns (id,sl,sw,pl,pw), found 2 (data[1])"]),
        (iris(), &[header, "1,5.1,3.5,1.4,0.2,9"], &["expected 5 columns", "found 6"]),
        (sent(json!({"id": "key"})), &["a,b", "1,2"], &["cannot find id column key"]),
        (
            sent(json!({"id": "id", "scale": true})),
            &["id,b", "1,2"],
            &["failed acquiring scaling min_vals or max_vals"],
        ),
        (trained(), &["id,sl,sw,pl", "901,5.1,3.5,1.4"], &["column pw of the training data is missing"]),
        (trained(), &["id,x,sl,sw,pl,pw", "901,1,5,3,1,0"], &["column x is not in the training data"]),
    ];
    for (setup, data, words) in cases {
        let refused = setup.refuse(data);
        for word in words {
            assert!(refused.contains(word), "{data:?}: {refused}");
        }
    }
}

#[test]
fn bounds_that_do_not_fit_are_refused() {
    let few = sent(json!({"scale": true, "min_vals": [0], "max_vals": [1]}));
    assert_eq!(few.refuse(&["1,2"]), "number of values to unscale (2) > number of scaling factors (1)");
    let odd = sent(json!({"scale": true, "min_vals": [0, 0], "max_vals": [1]}));
    let refused = odd.try_open().err().expect("bounds of different lengths").to_string();
    assert!(refused.contains("min_vals has 2 values and max_vals has 1"), "{refused}");
    let znorm = sent(json!({"scale": true, "scale_type": "znorm"}));
    assert!(znorm.refuse(&["1"]).contains("mean_vals or variance_vals"));
}

#[test]
fn tables_and_requests_are_bounded() {
    let limits = InputLimits { items: 2, ..InputLimits::default() };
    let refused = Setup { limits, ..stored(Section::new()) }.refuse(&["1", "2", "3"]);
    assert_eq!(refused, "more than 2 rows in one request (data[2])");
    let limits = InputLimits { table_bytes: 10, ..InputLimits::default() };
    let small = Setup { limits, ..stored(Section::new()) };
    let refused = small.refuse(&[&fixture("iris_nolabel.csv")]);
    assert!(refused.contains("at most 10 are read"), "{refused}");
    assert_eq!(small.refuse(&["1,2", "3,4"]), "the table takes more than 10 bytes (data[1])");
    let refused = stored(Section::new()).refuse(&[env!("CARGO_MANIFEST_DIR")]);
    assert!(refused.contains("is a directory, requires a CSV file"), "{refused}");
}

#[test]
fn wrong_parameters_are_named() {
    for (parameters, place) in [
        (json!({"scale": "yes"}), "parameters.input.scale"),
        (json!({"test_split": 1.5}), "parameters.input.test_split"),
        (json!({"scale_type": "log"}), "parameters.input.scale_type"),
        (json!({"separator": "é"}), "parameters.input.separator"),
        (json!({"timeout": 40000}), "parameters.input.timeout"),
        (json!({"timeout": 0}), "parameters.input.timeout"),
        (json!({"timeout": -2}), "parameters.input.timeout"),
        (json!({"categoricals_mapping": {"c": {"a": 0, "b": 2}}}), "parameters.input.categoricals_mapping.c"),
    ] {
        let refused = sent(parameters).try_open().err().expect("wrong").to_string();
        assert!(refused.contains(place), "{refused}");
    }
}

#[test]
fn the_shape_follows_from_the_stored_columns() {
    assert_eq!(stored(iris_state()).open().shape(), Some(SampleShape::Row { columns: 4 }));
    assert_eq!(sent(iris_bounds()).open().shape(), None);
}

/// 23 mappings, "odor" with nine values, as in the original's test of reading them.
#[test]
fn mappings_of_many_values_keep_their_numbers() {
    let odor = json!({"p": 0, "c": 5, "y": 6, "s": 7, "a": 1, "l": 2, "n": 3, "f": 4, "m": 8});
    let setup = sent(json!({"id": "id", "categoricals_mapping": {"odor": odor, "bruises": {"t": 0, "f": 1}}}));
    let batch = setup.read(&["id,bruises,odor", "1,f,y"]);
    assert_eq!(features(&batch), [[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]]);
}

//! Predicts of services whose training data is not known: only what the request says tells what a column is.

use serde_json::json;

use super::*;

fn three(parameters: Value) -> Setup {
    Setup { network_columns: Some(3), ..sent(parameters) }
}

#[test]
fn a_column_with_a_part_of_its_own_stands_once() {
    let colours = json!({"id": "id", "categoricals_mapping": {"c": {"red": 0}}});
    for (parameters, table, name) in [
        (json!({"id": "id"}), "id,a,id,c,d\n7,1,2,3,4\n", "id"),
        (json!({"id": "id", "label": "y"}), "id,y,a,y\n7,1,2,3\n", "y"),
        (colours, "id,c,c\n7,red,red\n", "c"),
    ] {
        let (_directory, path) = written(table);
        for data in [&table.lines().collect::<Vec<_>>()[..], &[&path]] {
            let refused = sent(parameters.clone()).refuse(data);
            assert!(refused.contains(&format!("column {name} occurs twice in the header")), "{table:?}: {refused}");
        }
    }
    assert_eq!(features(&sent(json!({"id": "id"})).read(&["id,a,a", "7,1,2"])), [[1.0, 2.0]]);
}

#[test]
fn ignored_columns_of_the_request_are_in_the_header() {
    let lines = ["id,a,b", "7,1,2"];
    for ignore in [json!(["x"]), json!("x"), json!(["b", "x"])] {
        let refused = sent(json!({"id": "id", "ignore": ignore})).refuse(&lines);
        assert!(refused.contains("cannot find column x: found id,a,b"), "{refused}");
        assert!(refused.contains("parameters.input.ignore"), "{refused}");
    }
    let refused = sent(json!({"id": "id", "ignore": ["A"]})).refuse(&lines);
    assert!(refused.contains("column 2 is \"a\", not \"A\""), "{refused}");
    for ignore in [json!([]), json!([""]), json!(["b"])] {
        sent(json!({"id": "id", "ignore": ignore})).read(&lines);
    }
    let created = section(json!({"id": "id", "ignore": ["x"]}));
    let creation = Setup { created, ..sent(json!({"scale": false})) };
    assert_eq!(features(&creation.read(&lines)), [[1.0, 2.0]], "a default of trainings");
}

#[test]
fn another_separator_is_named_with_the_line() {
    for (parameters, line, words) in [
        (json!({}), "1;2;3", &["found 1: 1", "the separator is ';' in \"1;2;3\"?", "data[0]"][..]),
        (json!({}), "1\t2\t3", &["the separator is '\\t'", "set parameters.input.separator"]),
        (json!({"separator": ";"}), "1,2,3", &["the separator is ',' in \"1,2,3\"?"]),
        (json!({}), "1 2 3", &["the separator is ' ' in \"1 2 3\"?"]),
        (json!({}), "1;2;3;4", &["the separator is ';'"]),
    ] {
        let refused = three(parameters).refuse(&[line]);
        for word in words.iter().chain(&["the network takes 3 columns"]) {
            assert!(refused.contains(word), "{line:?}: {refused}");
        }
    }
    for line in ["1 2", "1", "1,2;3", "1,2,3,4"] {
        let refused = three(json!({})).refuse(&[line]);
        assert!(!refused.contains("separator"), "{line:?}: {refused}");
    }
    let (_directory, path) = written("a;b;c\n1;2;3\n");
    let refused = three(json!({})).refuse(&[&path]);
    assert!(refused.contains("rows.csv, line 1") && refused.contains("the separator is ';'?"), "{refused}");
    assert!(!refused.contains("a;b;c"), "what a file holds is not repeated: {refused}");
}

#[test]
fn lower_bounds_are_not_above_upper_ones() {
    let bounds = |low, high| json!({"label": "y", "scale": true, "min_vals": [0, low], "max_vals": [0, high]});
    for (low, high, words) in [(2.0, 0.5, "found 2 and 0.5"), (1.0, -1.0, "found 1 and -1")] {
        let reader = sent(bounds(low, high));
        let refused = reader.try_open().err().expect("refused").to_string();
        assert!(refused.contains("min_vals[1] is above max_vals[1]") && refused.contains(words), "{refused}");
    }
    assert!(sent(bounds(1.0, 1.0)).try_open().is_ok(), "one value only");
}

#[test]
fn an_empty_category_is_said_to_be_empty() {
    let setup = sent(json!({"id": "id", "categoricals_mapping": {"c": {"red": 0}}}));
    for cell in ["", "  "] {
        let refused = setup.refuse(&["id,a,c", &format!("7,1,{cell}")]);
        assert_eq!(refused, "unknown category for variable c: found an empty cell (data[1], column c)");
    }
}

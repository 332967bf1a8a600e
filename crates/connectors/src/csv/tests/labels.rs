//! Labels of training data that can be none.

use serde_json::json;

use super::*;

fn fitted(setup: &Setup, data: &[&str]) -> Result<dede_model::connector::Fitted> {
    setup.try_open().and_then(|reader| reader.fit(&strings(data)))
}

/// Why the table is refused, as items and as a file.
fn refusals(setup: &Setup, table: &str) -> [String; 2] {
    let (_directory, path) = written(table);
    let lines: Vec<&str> = table.lines().collect();
    [&lines[..], &[&path]].map(|data| fitted(setup, data).err().expect("refused").to_string())
}

#[test]
fn a_number_that_is_no_class_is_refused_with_its_line() {
    let negative = "negative supervised discrete target (e.g. wrong use of label_offset ?)";
    let label = || sent(json!({"label": "y"}));
    for (setup, table, reason, found, line) in [
        (label(), "a,y\n1,0\n2,-1\n3,1\n", negative, "found \"-1\"", 3),
        (sent(json!({"label": "y", "label_offset": -1})), "a,y\n1,1\n2,0\n", negative, "found \"0\"", 3),
        (label(), "a,y\n1,0.5\n2,1\n", "expected the number of a class, a whole one", "found \"0.5\"", 2),
        (sent(json!({"label": "y", "scale": true})), "a,y\n1,0\n2,-1\n", negative, "found \"-1\"", 3),
    ] {
        let [lines, file] = refusals(&setup, table);
        let item = format!("data[{}], column y", line - 1);
        for word in [reason, "in column y", found, &item] {
            assert!(lines.contains(word), "{table:?}: {lines}");
        }
        assert!(file.contains(reason) && file.contains(&format!("rows.csv, line {line}, column y")), "{file}");
        assert!(!file.contains("found"), "what a file holds is not repeated: {file}");
    }
    let (_train, train) = written("a,y\n1,0\n2,1\n");
    let (_test, test) = written("a,y\n1,0\n2,-1\n");
    let refused = fitted(&label(), &[&train, &test]).err().expect("refused").to_string();
    assert!(refused.contains(negative) && refused.contains("line 3"), "{refused}");
}

#[test]
fn values_and_features_may_be_negative_and_fractional() {
    let lines = ["a,y", "1,-1", "2,0.5"];
    let regression = Setup { regression: true, ..sent(json!({"label": "y"})) };
    let autoencoder = sent(json!({"label": "y", "autoencoder": true}));
    for setup in [regression, autoencoder] {
        assert!(fitted(&setup, &lines).is_ok());
    }
    assert!(fitted(&sent(json!({"label": ["y", "z"]})), &["a,y,z", "1,-1,0.5"]).is_ok());
}

/// One mistyped number makes names of all the others, and more classes than there are.
#[test]
fn the_only_label_that_is_no_number_is_refused_with_its_line() {
    let label = || sent(json!({"label": "y"}));
    for odd in ["1_0", "0x1", "l", "?"] {
        let [lines, file] = refusals(&label(), &format!("a,y\n1,0\n2,{odd}\n3,1\n4,0\n"));
        let expected = format!("label {odd} of column y is the only one that is no number");
        assert!(lines.contains(&expected) && lines.contains("data[2], column y"), "{lines}");
        assert!(file.contains("is the only one that is no number") && file.contains("rows.csv, line 3"), "{file}");
        assert!(!file.contains(odd) || odd.len() == 1, "{file}");
    }
    for table in ["a,y\n1,0\n2,x\n", "a,y\n1,0\n2,x\n3,1\n4,x\n", "a,y\n1,a\n2,a \n3,b\n"] {
        assert!(fitted(&label(), &table.lines().collect::<Vec<_>>()).is_ok(), "{table:?}");
    }
    let names = sent(json!({"label": "y", "categoricals": ["y"]}));
    let Ok(fitted) = fitted(&names, &["a,y", "1,0", "2,other", "3,1"]) else { panic!("labels are names") };
    assert_eq!(fitted.labels.names().collect::<Vec<_>>(), ["0", "other", "1"]);
}

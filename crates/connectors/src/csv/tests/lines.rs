//! Lines that may be read in two ways: rows or headers, other columns, quotation marks that swallow rows, items without a line.

use serde_json::json;

use super::predict::{in_every_form, iris_state};
use super::*;

fn trained(parameters: Value, data: &[&str]) -> Section {
    sent(parameters).open().fit(&strings(data)).expect("the data is right").state
}

#[test]
fn names_that_are_numbers_are_told_from_rows_or_refused() {
    let two = stored(trained(json!({"label": "y"}), &["0,1,y", "5,6,0", "7,8,1"]));
    in_every_form("0,1\n5,6\n", |data| assert_eq!(features(&two.read(data)), [[5.0, 6.0]]));
    in_every_form("5,6\n0,1\n", |data| assert_eq!(features(&two.read(data)), [[5.0, 6.0], [0.0, 1.0]]));
    let three = stored(trained(json!({"label": "y"}), &["0,1,2,y", "5,6,1,0", "7,8,2,1"]));
    in_every_form("1,5,7\n5,6,7\n", |data| assert_eq!(features(&three.read(data))[0], [1.0, 5.0, 7.0]));
    for (setup, table) in
        [(&two, "1,0\n5,6\n"), (&two, "1,2\n5,6\n"), (&three, "0,1,3\n5,6,1\n"), (&three, "2,1,3,0\n5,6,1,0\n")]
    {
        in_every_form(table, |data| {
            let refused = setup.refuse(data);
            assert!(refused.contains("is the first line a header or a row?"), "{data:?}: {refused}");
        });
    }
}

#[test]
fn a_row_that_may_have_other_columns_is_refused_with_both_readings() {
    let state = trained(json!({"label": "y", "id": "id"}), &["id,a,b,y", "1,5,6,0", "2,7,8,1"]);
    in_every_form("5,6,0\n7,8,1\n", |data| {
        let refused = stored(state.clone()).refuse(data);
        assert!(refused.contains("are the columns of this line id,a,b or a,b,y?"), "{data:?}: {refused}");
    });
    let read = |setup: &Setup, table: &str, expected: &[f32]| {
        in_every_form(table, |data| assert_eq!(features(&setup.read(data))[0], expected, "{data:?}"));
    };
    // Certain by what the cells hold, by their number, or by what the request or the service says.
    read(&stored(state.clone()), "5,6,0.5\n7,8,1\n", &[6.0, 0.5]);
    read(&stored(state.clone()), "5,6\n", &[5.0, 6.0]);
    read(&stored(state.clone()), "1,5,6,0\n", &[5.0, 6.0]);
    read(&asked(state.clone(), json!({"id": "id"})), "1,5,6\n", &[5.0, 6.0]);
    read(&Setup { created: section(json!({"id": "id"})), ..stored(state) }, "1,5,6\n", &[5.0, 6.0]);
    let text = trained(json!({"label": "y", "id": "id"}), &["id,a,b,y", "1,5,6,no", "2,7,8,yes"]);
    let setup = Setup { labels: Labels::from_names(["no", "yes"]), ..stored(text) };
    assert!(setup.refuse(&["5,6,yes"]).contains("column b is not a number"));
    let ignoring = stored(trained(json!({"label": "y", "ignore": ["x"]}), &["x,a,b,y", "1,5,6,0", "2,7,8,1"]));
    assert!(ignoring.refuse(&["5,6,0"]).contains("x,a,b or a,b,y?"));
}

#[test]
fn a_file_of_numbers_keeps_its_first_row_whatever_categories_are_named() {
    let setup = sent(json!({"categoricals_mapping": {"c": {"u": 0}}}));
    let (_directory, path) = written("1,2\n3,4\n");
    assert!(setup.refuse(&[&path]).contains("is the first line a header or a row?"));
    assert!(setup.refuse(&["1,2", "3,4"]).contains("which column is c, a categorical one?"));
    assert!(setup.refuse(&["a,b", "3,4"]).contains("cannot find categorical column c: found a,b"));
    assert_eq!(features(&setup.read(&["a,c", "3,u"])), [[3.0, 1.0]]);
    let numbered = sent(json!({"categoricals_mapping": {"1": {"3": 0, "5": 1}}}));
    assert_eq!(features(&numbered.read(&["1,2", "3,4"])), [[1.0, 0.0, 4.0]]);
    let labelled = sent(json!({"label": "c", "categoricals_mapping": {"c": {"u": 0}}}));
    assert_eq!(features(&labelled.read(&["1,2"])), [[1.0, 2.0]]);
}

#[test]
fn quotation_marks_that_are_not_closed_are_refused_by_line() {
    let setup = stored(trained(json!({"label": "y", "ignore": ["note"]}), &["a,b,y,note", "1,2,0,x", "3,4,1,y"]));
    let unclosed = "a quotation mark that opens a cell is not closed";
    for (table, words) in [
        ("a,b,y,note\n1,2,0,x\n3,4,1,\"5 inch\n5,6,0,x\n", [unclosed, "line 3"]),
        ("a,b,y,note\n1,2,0,\"5 inch\n3,4,1,x\n5,6,0,\"7 inch\n", ["goes on after the closing mark", "line 2"]),
        ("\"a,b,y,note\n1,2,0,x\n", [unclosed, unclosed]),
    ] {
        let (_directory, path) = written(table);
        for refused in [setup.refuse(&[&path]), setup.refuse(&[table])] {
            assert!(words.iter().all(|word| refused.contains(word)), "{table:?}: {refused}");
        }
        let refused = sent(json!({"label": "y", "ignore": ["note"]})).open().fit(&[path]).err().expect("refused");
        assert!(words.iter().all(|word| refused.to_string().contains(word)), "{table:?}: {refused}");
    }
    assert!(setup.refuse(&["1,2,0,x", "1,2,0,\"x"]).contains("is not closed (data[1]"));
    for (parameters, table) in [
        (json!({"label": "y", "id": "i"}), "i,a,y\nr1,1,0\n\"r2,1,0\nr3\",1,1\n"),
        (json!({"label": "y"}), "a,y\n1,\"u\n2,v\n3,w\"\n4,x\n"),
        (json!({"label": "y", "categoricals": ["c"]}), "c,y\nu,0\n\"u,1\nv\",0\n"),
    ] {
        let (_directory, path) = written(table);
        let refused = sent(parameters).open().fit(&[path]).err().expect("refused").to_string();
        assert!(refused.contains("holds line ends: is a quotation mark missing?"), "{table:?}: {refused}");
    }
    let notes = "a,b,y,note\n1,2,0,\"two\nlines\"\n3,4,1,5\" long\n";
    let (_directory, path) = written(notes);
    assert_eq!(features(&setup.read(&[&path])), [[1.0, 2.0], [3.0, 4.0]]);
}

#[test]
fn an_item_without_a_line_moves_no_answer() {
    let setup = stored(Section::new());
    for data in [&["1,2", "", "3,4"][..], &["", "1,2"], &["1,2", "\n", "\r\n", "3,4"]] {
        let refused = setup.refuse(data);
        let place = data.iter().position(|item| item.trim().is_empty()).expect("an empty one");
        assert!(refused.contains("found an empty item") && refused.contains(&format!("data[{place}]")), "{refused}");
    }
    for data in [&["1,2", "3,4", ""][..], &["1,2", "3,4", "\n", ""], &["1,2\n\n3,4\n"]] {
        assert_eq!(setup.read(data).uris, ["1", "2"], "{data:?}");
    }
}

#[test]
fn compressed_files_are_called_what_they_are() {
    for (content, kind) in [
        (&b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"[..], "compressed with gzip"),
        (&b"PK\x03\x04\x14\x00\x00\x00"[..], "a zip archive"),
        (&b"\x28\xb5\x2f\xfd\x00,\x00\n"[..], "compressed with zstd"),
    ] {
        let (_directory, path) = written(content);
        let refused = stored(iris_state()).refuse(&[&path]);
        assert!(refused.contains(kind) && !refused.contains("UTF-16"), "{refused}");
    }
    let (_directory, path) = written("BZh,b\n1,2\n");
    assert_eq!(features(&sent(json!({})).read(&[&path])), [[1.0, 2.0]], "text");
    let (_directory, path) = written(b"a,b\n1,ab\x00c\n");
    let refused = sent(json!({})).refuse(&[&path]);
    assert!(refused.contains("zero bytes") && !refused.contains("UTF-16LE"), "{refused}");
}

//! What is kept of tables, and lines that are made up.

use dede_model::connector::RetainedItems;
use dede_model::parameters::Section;
use dede_model::request_memory::MemoryShare;
use serde_json::json;

use super::predict::iris_state;
use super::{features, fixture, section, sent, stored};

const ENOUGH: usize = 1 << 20;

#[test]
fn a_file_is_kept_as_its_text_and_read_as_the_same() {
    let reader = stored(iris_state()).open();
    let (batch, kept) =
        reader.read_keeping(&[fixture("iris_test.csv")], ENOUGH, &MemoryShare::unbounded()).expect("read");
    let RetainedItems::Rewritten(items) = kept else { panic!("{kept:?}") };
    assert_eq!(reader.read(&items).expect("the same table"), batch);
    assert_eq!(reader.read_keeping(&items, ENOUGH, &MemoryShare::unbounded()).expect("read").1, RetainedItems::AsSent);
}

#[test]
fn what_items_cannot_say_is_not_kept() {
    let file = fixture("iris_test.csv");
    let trained = stored(iris_state());
    // Without training data nothing shows that the first line of an item is a header.
    let untrained = sent(json!({"label": "target", "ignore": ["id"]}));
    for (setup, data, most_bytes) in [
        (&trained, vec![file.clone(), file.clone()], ENOUGH),
        (&trained, vec!["5.1,3.5,1.4,0.2".to_owned(), file.clone()], ENOUGH),
        (&trained, vec![file.clone()], 100),
        (&trained, vec![file.clone()], 0),
        (&untrained, vec![file], ENOUGH),
    ] {
        let (_, kept) =
            setup.open().read_keeping(&data, most_bytes, &MemoryShare::unbounded()).expect("read all the same");
        assert_eq!(kept, RetainedItems::Nothing, "{data:?}");
    }
}

#[test]
fn made_up_lines_stay_within_the_bounds_of_the_training_data() {
    let state = iris_state();
    let reader = stored(state.clone()).open();
    let mut low = [f32::INFINITY; 4];
    let mut high = [f32::NEG_INFINITY; 4];
    for seed in 0..200 {
        let line = reader.example(seed).expect("made up");
        let row = features(&reader.read(&[line]).expect("accepted")).remove(0);
        assert!(row.iter().all(|value| (0.0..=1.0).contains(value)), "scaled to the unit interval: {row:?}");
        for (column, value) in row.iter().enumerate() {
            low[column] = low[column].min(*value);
            high[column] = high[column].max(*value);
        }
    }
    assert!(low.iter().all(|low| *low < 0.1) && high.iter().all(|high| *high > 0.9), "all over it: {low:?} {high:?}");
}

#[test]
fn made_up_categories_are_those_of_the_training_data() {
    let state = section(json!({
        "columns": ["id", "colour", "size", "target"], "id": "id", "label": "target", "separator": ";",
        "categoricals_mapping": {"colour": {"red;dark": 0, "blue": 1}}
    }));
    let reader = stored(state).open();
    let mut seen = std::collections::HashSet::new();
    for seed in 0..50 {
        let row = features(&reader.read(&[reader.example(seed).expect("made up")]).expect("accepted")).remove(0);
        assert_eq!((row.len(), row[0] + row[1]), (3, 1.0), "one category each: {row:?}");
        seen.insert(row[0] == 1.0);
    }
    assert_eq!(seen.len(), 2, "both are drawn");
}

#[test]
fn nothing_is_made_up_without_columns() {
    assert!(stored(Section::new()).open().example(1).is_err());
    let unscaled = section(json!({"scale": true}));
    let mut setup = stored(unscaled);
    setup.network_columns = Some(3);
    assert!(setup.open().example(1).is_err(), "bounds are missing, as for a predict");
}

/// A repository of the original with an id: its bounds say nothing of lines without one.
#[test]
fn made_up_lines_have_the_id_that_bounds_speak_of() {
    let parameters = json!({"id": "the id", "scale": true, "min_vals": [1, 4, 2, 0], "max_vals": [9, 8, 3, 1]});
    let setup = super::Setup { in_call: false, network_columns: Some(2), ..sent(parameters) };
    let line = setup.open().example(1).expect("made up");
    assert!(line.starts_with("the id,column 1,column 2\n1,"), "{line}");
    let row = features(&setup.read(&[&line])).remove(0);
    assert!(row.iter().all(|value| (0.0..=1.0).contains(value)), "{row:?}");
}

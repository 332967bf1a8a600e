//! Predicts of services whose training data is not known: only what the request says tells what a column is.

use serde_json::json;

use super::*;

#[test]
fn an_empty_category_is_said_to_be_empty() {
    let setup = sent(json!({"id": "id", "categoricals_mapping": {"c": {"red": 0}}}));
    for cell in ["", "  "] {
        let refused = setup.refuse(&["id,a,c", &format!("7,1,{cell}")]);
        assert_eq!(refused, "unknown category for variable c: found an empty cell (data[1], column c)");
    }
}

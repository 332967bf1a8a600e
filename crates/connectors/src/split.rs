//! `parameters.input.test_split` (contract.md 3.3), where it says nothing.

/// Logs that the share has no effect: the test set is the second item of `data`, as in the original.
pub(crate) fn warn_of_no_effect(test_split: f64) {
    if test_split > 0.0 {
        let reason = "the second item of data is the test set";
        tracing::warn!(parameter = "parameters.input.test_split", reason, "parameter without effect");
    }
}

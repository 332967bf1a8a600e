//! `parameters.input.seed`, by which training data are shuffled (contract.md 3.1).

use dede_model::error::{Error, Result};

/// `None` for a seed at random.
///
/// # Errors
/// [`Error::BadInput`] for other negative numbers.
pub(crate) fn of_parameter(seed: i64) -> Result<Option<u64>> {
    match u64::try_from(seed) {
        Ok(seed) => Ok(Some(seed)),
        Err(_) if seed == -1 => Ok(None),
        Err(_) => {
            let reason = format!("expected -1, for one at random, or a number of at least 0, found {seed}");
            Err(Error::bad_input_at("parameters.input.seed", reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_negative_number_is_a_seed() {
        for (seed, expected) in [(-1, None), (0, Some(0)), (i64::MAX, Some(i64::MAX.unsigned_abs()))] {
            assert_eq!(of_parameter(seed).expect("a seed"), expected);
        }
        for seed in [-2, -4, i64::MIN] {
            let refused = of_parameter(seed).expect_err("negative").to_string();
            assert!(
                refused.contains(&format!("found {seed}")) && refused.contains("parameters.input.seed"),
                "{refused}"
            );
        }
    }
}

//! Inputs for a service that has none of its own: made up by its connector, the same ones every time.

use dede_model::error::Result;

use super::{PredictCall, Service};

/// Seed of the first input, so that two servers make up the same ones.
const SEED: u64 = 2024;

impl Service {
    /// `count` calls of one item each, of the shape that the network takes. They warm a model and show that two servers answer alike;
    /// they say nothing of how well it answers.
    ///
    /// # Errors
    /// [`dede_model::error::Error::BadInput`] when nothing says what the items of this service look like.
    pub fn generated_calls(&self, count: usize) -> Result<Vec<PredictCall>> {
        let reader = &self.serving()?.reader;
        let call = |step: usize| {
            let data = vec![reader.example(SEED + step as u64)?];
            Ok(PredictCall { data, ..PredictCall::default() })
        };
        (0..count).map(call).collect()
    }
}

//! The models of all tests here, trained once per run: one that production serves, and a small and a large one that come to replace it.

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::models::{Expected, Model, inputs, model, predict_body};
use crate::server::Server;

/// Files from this size on travel in chunks, bytes.
const CHUNKED: usize = 256 << 10;

/// How large the new model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// Every file travels whole.
    Small,
    /// The weights travel in chunks.
    Large,
}

pub(super) struct Models {
    pub(super) inputs: Vec<String>,
    pub(super) first: Model,
    small: Model,
    large: Model,
}

impl Models {
    /// Those of this run.
    pub(super) fn trained() -> &'static Self {
        static MODELS: OnceLock<Models> = OnceLock::new();
        MODELS.get_or_init(Self::train)
    }

    fn train() -> Self {
        let inputs = inputs();
        let server = Server::start(&[]);
        let network =
            |layers: [u32; 2]| json!({"template": "mlp", "layers": layers, "activation": "relu", "nclasses": 3});
        let train = |name: &str, network: &Value| model(&server, name, network, &inputs);
        let first = train("first", &json!({"template": "lregression", "nclasses": 3}));
        let small = train("small", &network([16, 16]));
        let large = train("large", &network([320, 320]));
        for (index, answer) in first.answers.iter().enumerate() {
            assert!(
                *answer != small.answers[index] && *answer != large.answers[index],
                "the versions differ in every answer"
            );
        }
        assert!(large.largest_file() > CHUNKED && small.largest_file() < CHUNKED);
        drop(server.stop());
        Self { inputs, first, small, large }
    }

    pub(super) fn second(&self, size: Size) -> &Model {
        match size {
            Size::Small => &self.small,
            Size::Large => &self.large,
        }
    }

    /// Requests for `service`, and what either version answers.
    pub(super) fn expected(&self, service: &str, size: Size) -> Vec<Expected> {
        let second = self.second(size);
        let one = |(index, input): (usize, &String)| Expected {
            body: predict_body(service, input).to_string(),
            answers: [&self.first, second].map(|model| model.answers[index].clone()).to_vec(),
            digests: [&self.first, second].map(|model| model.digest.clone()).to_vec(),
        };
        self.inputs.iter().enumerate().map(one).collect()
    }
}

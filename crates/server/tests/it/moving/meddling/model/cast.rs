//! What all schedules share: the source, and models that a target begins with. Nothing of it changes while schedules are played.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::models::{Classes, Model, inputs, model, predict_body};
use crate::proxy::{self, Fault};
use crate::server::Server;
use crate::tree::{Tree, difference, tree};

/// The service that the first move brings, and another one of the source.
pub(super) const MOVED: &str = "service2";
pub(super) const ANOTHER: &str = "service3";

pub(super) struct Cast {
    source: Server,
    /// URL of the source whose answers come late.
    pub(super) late: String,
    pub(super) inputs: Vec<String>,
    /// What answers on a target before the move, and what stands beside it.
    pub(super) former: Model,
    pub(super) other: Model,
    /// What the first move brings.
    pub(super) moved: Model,
    /// Right answers by version.
    known: BTreeMap<String, Vec<Classes>>,
    before: Tree,
}

impl Cast {
    pub(super) fn start() -> Self {
        let (source, inputs) = (Server::start(&[]), inputs());
        let layers = |layers: &[u32]| json!({"template": "mlp", "layers": layers, "activation": "relu", "nclasses": 3});
        let train = |name: &str, network: Value| model(&source, name, &network, &inputs);
        let former = train("former", json!({"template": "lregression", "nclasses": 3}));
        let moved = train(MOVED, layers(&[16, 16]));
        let another = train(ANOTHER, layers(&[12]));
        let other = train("other", layers(&[8, 8]));
        let known = [&former, &moved, &another, &other];
        let known = known.map(|model| (model.digest.clone(), model.answers.clone())).into_iter().collect();
        let (late, _) = proxy::start(source.address, Fault::Late);
        let before = tree(source.path());
        Self { source, late, inputs, former, other, moved, known, before }
    }

    pub(super) fn source_url(&self) -> String {
        self.source.url()
    }

    /// Bodies of requests to a service, one for each input.
    pub(super) fn bodies(&self, service: &str) -> Vec<String> {
        self.inputs.iter().map(|input| predict_body(service, input).to_string()).collect()
    }

    /// Whether a version answers an input so; what was trained meanwhile may answer anything.
    pub(super) fn answers_so(&self, version: &str, input: usize, classes: &Classes) -> bool {
        self.known.get(version).is_none_or(|answers| answers[input] == *classes)
    }

    /// Ends the source, which no move may have changed.
    pub(super) fn end(self) {
        let difference = difference(&without_log(self.before), &without_log(tree(self.source.path())));
        assert_eq!(difference, None, "the source is not as it was");
        self.source.stop();
    }
}

fn without_log(mut tree: Tree) -> Tree {
    tree.remove("server.log");
    tree
}

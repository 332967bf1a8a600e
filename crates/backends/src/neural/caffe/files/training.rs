//! What the files of a repository say of a training: the solver's file, and the network for training beside that for prediction.
//!
//! It owns that a training follows them or is refused.

use dede_graph::{Graph, caffe};
use dede_model::backend::DecidingFile;
use dede_model::error::{Error, Result};
use dede_model::parameters::Section;
use dede_storage::files::read_text;

use super::{Files, TEXT_LIMIT, text_of};
use crate::neural::caffe::solver_file;
use crate::neural::planned_templates::{is_here, is_planned};

impl Files {
    /// What the repository's own files say of a training that names no template: the fields of the solver's file, under the names of
    /// requests; `None` where there is no such file. `served` is the network of the repository; one that was trained here needs no
    /// description of a network beside it.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the file that describes a training which this version cannot follow.
    pub(in crate::neural::caffe) fn described_training(&self, served: Option<&Graph>) -> Result<Option<Section>> {
        if !self.has_run() {
            self.check_networks(served)?;
        }
        self.solver()
    }

    /// Checks that the descriptions of networks are of the one that is trained.
    fn check_networks(&self, served: Option<&Graph>) -> Result<()> {
        let own = |name: &&String| {
            let stem = name.trim_end_matches(".prototxt");
            self.source().is_none() || !(is_planned(stem) || is_here(stem))
        };
        let networks = || self.descriptions().filter(|name| !name.contains("solver"));
        if let Some(network) = networks().find(own) {
            return Err(Error::bad_parameter(not_trained(network)));
        }
        for name in networks() {
            self.check_training(name, |text| {
                served.map_or(Ok(()), |served| caffe::check_training_network(text, served))
            })?;
        }
        if let Some(node) = served.and_then(Graph::layer_for_prediction) {
            let (name, kind) = (&node.name, node.layer.kind());
            let reason = format!("layer {name}: a network with a layer of type {kind} cannot be trained yet");
            return Err(Error::bad_parameter(reason));
        }
        if let Some(deploy) = &self.deploy {
            self.check_training(deploy, caffe::check_trained_alike)?;
        }
        Ok(())
    }

    /// The descriptions of trainings.
    fn descriptions(&self) -> impl Iterator<Item = &String> {
        self.names.iter().filter(|name| name.ends_with(".prototxt") && !name.contains("deploy"))
    }

    /// The fields of the solver's file.
    fn solver(&self) -> Result<Option<Section>> {
        let mut solvers = self.descriptions().filter(|name| name.contains("solver"));
        match (solvers.next(), solvers.next()) {
            (Some(one), Some(other)) => Err(Error::bad_parameter(format!(
                "one solver file expected in the repository, found {one} and {other}"
            ))),
            (Some(name), None) if self.source().is_none() => {
                let text = format!(
                    "no network to train beside {name}; expected mllib.template, or a deploy.prototxt with weights"
                );
                Err(Error::bad_parameter(text))
            }
            (Some(name), None) => {
                let text = read_text(&self.root.join(name), TEXT_LIMIT)
                    .map_err(|error| Error::bad_parameter_at(name, error.to_string()))?;
                // A run has a network of its own.
                let is_there = |file: &str| self.has_run() || self.names.iter().any(|known| known == file);
                solver_file::parse(name, &text.unwrap_or_default(), is_there).map(Some)
            }
            (None, _) => Ok(None),
        }
    }

    /// Checks what a file says of a training.
    fn check_training(&self, name: &str, check: impl FnOnce(&str) -> dede_graph::Result<()>) -> Result<()> {
        let text = text_of(&DecidingFile { name: name.to_owned(), path: self.root.join(name) })?;
        check(&text).map_err(|error| Error::bad_parameter_at(name, format!("{}: {error}", not_trained(name))))
    }
}

/// What is said of a description of a training that cannot be followed.
fn not_trained(name: &str) -> String {
    format!(
        "not supported yet: training the network that {name} describes; expected mllib.template, or a deploy.prototxt with \
         weights, of which all layers are trained alike"
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{publish, repository};
    use super::*;

    /// That a solver was found as it should be, or refused in these words.
    fn check(files: &[(&str, &str)], found: Result<Option<Section>>, expected: std::result::Result<&str, &str>) {
        match (found, expected) {
            (Ok(solver), Ok(expected)) => {
                let solver = solver.map(serde_json::Value::Object).unwrap_or_default();
                assert_eq!(solver.to_string(), expected, "{files:?}");
            }
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{files:?}: {error}"),
            (found, expected) => panic!("{files:?}: expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn a_training_follows_the_files_of_the_repository_or_is_refused() {
        let (deploy, weights) = (("deploy.prototxt", ""), ("m_iter_1.caffemodel", ""));
        let solver = ("mlp_solver.prototxt", "base_lr: 0.5\nnet: \"mlp.prototxt\"");
        for (files, expected) in [
            (vec![deploy, weights], Ok("null")),
            (vec![deploy, weights, ("mlp_solver.prototxt", "solver_mode: GPU")], Ok("{}")),
            (
                vec![deploy, weights, ("mlp_solver.prototxt", "net: \"mlp.prototxt\"")],
                Err("net names mlp.prototxt, which is not in the repository (mlp_solver.prototxt, line 1)"),
            ),
            (
                vec![("deploy.prototxt", "layer { name: 'a' param { lr_mult: 0 } }"), weights],
                Err("layer a: it is trained with lr_mult 0, and all layers are trained alike here (deploy.prototxt)"),
            ),
            (vec![deploy, weights, ("mlp.prototxt", ""), solver], Ok("{\"base_lr\":0.5}")),
            (
                vec![
                    deploy,
                    weights,
                    ("resnet_18.prototxt", ""),
                    ("mlp_solver.prototxt", "net: \"a/resnet_18.prototxt\""),
                ],
                Ok("{}"),
            ),
            (vec![deploy, weights, ("own_train_test.prototxt", ""), solver], Err("own_train_test.prototxt describes")),
            (vec![("mlp.prototxt", ""), solver], Err("mlp.prototxt describes")),
            (vec![solver], Err("no network to train beside mlp_solver.prototxt")),
            (
                vec![deploy, weights, solver, ("own_solver.prototxt", "")],
                Err("mlp_solver.prototxt and own_solver.prototxt"),
            ),
            (vec![deploy, weights, ("own_solver.prototxt", "clip_gradients: 1")], Err("clip_gradients of a solver")),
        ] {
            let (_directory, repository) = repository(&files);
            let found = Files::find(&repository, &Section::new()).expect("found").described_training(None);
            check(&files, found, expected);
        }
    }

    #[test]
    fn a_network_with_a_layer_for_prediction_alone_is_not_trained() {
        let text =
            "input: 'data' input_shape { dim: [1, 4] } layer { name: 'sizes' type: 'AbsVal' bottom: 'data' top: 'y' }";
        let graph = caffe::parse_network(text, &caffe::NetworkOptions::default()).expect("a network");
        let files = [("deploy.prototxt", text), ("m_iter_1.caffemodel", "")];
        let (_directory, repository) = repository(&files);
        let found = Files::find(&repository, &Section::new()).expect("found").described_training(Some(&graph));
        check(&files, found, Err("layer sizes: a network with a layer of type AbsVal cannot be trained yet"));
    }

    #[test]
    fn the_solvers_file_gives_the_defaults_of_every_training() {
        let solver = ("mlp_solver.prototxt", "base_lr: 0.003\nnet: \"mlp.prototxt\"");
        for (files, expected) in [
            (vec![solver], Ok("{\"base_lr\":0.003}")),
            (vec![("deploy.prototxt", ""), ("m_iter_1.caffemodel", ""), solver], Ok("{\"base_lr\":0.003}")),
            (vec![("own_train_test.prototxt", "")], Ok("null")),
            (vec![solver, ("own_solver.prototxt", "")], Err("mlp_solver.prototxt and own_solver.prototxt")),
            (vec![("mlp_solver.prototxt", "clip_gradients: 1")], Err("clip_gradients of a solver")),
        ] {
            let (_directory, repository) = repository(&files);
            publish(&repository);
            let found = Files::find(&repository, &Section::new()).expect("found").described_training(None);
            check(&files, found, expected);
        }
    }

    #[test]
    fn a_network_for_training_must_be_the_one_that_is_trained() {
        let deploy =
            "input: 'data' input_shape { dim: [1, 4] } layer { name: 'p' type: 'Softmax' bottom: 'data' top: 'p' }";
        let served = caffe::parse_network(deploy, &caffe::NetworkOptions::default()).expect("reads");
        let head = "layer { name: 'd' type: 'Data' top: 'data' top: 'label' }";
        let loss = |kind: &str| format!("{head} layer {{ name: 'l' type: '{kind}' bottom: 'data' bottom: 'label' }}");
        for (text, expected) in [
            (loss("SoftmaxWithLoss"), None),
            (loss("HingeLoss"), Some("a loss of type HingeLoss is not supported in a training (mlp.prototxt)")),
        ] {
            let files = [("deploy.prototxt", deploy), ("m_iter_1.caffemodel", ""), ("mlp.prototxt", &text)];
            let (_directory, repository) = repository(&files);
            let found = Files::find(&repository, &Section::new()).expect("found").described_training(Some(&served));
            match expected {
                None => assert_eq!(found.expect("followed"), None, "{text}"),
                Some(expected) => assert!(found.expect_err("refused").to_string().contains(expected), "{text}"),
            }
        }
    }
}

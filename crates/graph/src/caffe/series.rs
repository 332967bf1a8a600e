//! Values whose first axis is time and whose second is the batch, as Caffe's recurrent layers want them. It owns which layers may read
//! and make them: in a [`crate::Graph`] the batch stays in front, so that such a value is a series of each sample.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::Node;
use crate::layer::Layer;
use crate::operations::{Operation, order_of_axes};
use crate::prototext::Message;
use crate::shape::Shape;

/// What is known of them while a network is read.
#[derive(Debug, Default)]
pub(super) struct Series<'a> {
    /// Values that have time first.
    time_first: BTreeSet<String>,
    /// Blobs that say where series begin, with the number of steps.
    beginnings: BTreeMap<&'a str, usize>,
}

impl<'a> Series<'a> {
    /// Notes a ContinuationIndicator, whose bottom is a value of that shape.
    ///
    /// # Errors
    /// Says what it should be.
    pub(super) fn begin(&mut self, top: &'a str, param: &Message, bottom: (&str, &Shape)) -> Result<(), String> {
        let (value, shape) = bottom;
        let steps = shape.dims().first().copied().unwrap_or(0);
        let axis = param.number::<i64>("axis")?.unwrap_or(0);
        let asked = param.number::<usize>("time_step")?.unwrap_or(0);
        if !self.time_first.contains(value) || axis != 1 {
            return Err(format!(
                "axis should be 1, the batch of a value whose first axis is time, found {axis} of a value of shape {shape} for each sample"
            ));
        }
        if asked != steps {
            return Err(format!("time_step should be {steps}, as its bottom has steps, found {asked}"));
        }
        self.beginnings.insert(top, steps);
        Ok(())
    }

    /// The bottoms of a layer that are values: without that which says where series begin.
    ///
    /// # Errors
    /// Names a bottom that an LSTM should have and has not, or that says this to another layer.
    pub(super) fn values<'b>(&self, kind: &str, bottoms: &'b [&'a str]) -> Result<&'b [&'a str], String> {
        let is_beginning = |bottom: &&str| self.beginnings.contains_key(*bottom);
        match (kind, bottoms) {
            ("LSTM", [value, beginning]) if is_beginning(beginning) && !is_beginning(value) => {
                Ok(bottoms.get(..1).unwrap_or_default())
            }
            ("LSTM", _) => Err(format!(
                "expected a series and the top of a ContinuationIndicator, which says that each sample begins one, found {} bottoms",
                bottoms.len()
            )),
            _ => match bottoms.iter().find(|bottom| is_beginning(bottom)) {
                Some(bottom) => {
                    Err(format!("its bottom {bottom:.64} says where series begin, which an LSTM alone reads"))
                }
                None => Ok(bottoms),
            },
        }
    }

    /// Notes what a layer makes of what it reads.
    ///
    /// # Errors
    /// Says that a layer would mix samples, or what its bottom should be.
    pub(super) fn made(&mut self, (kind, text): (&str, &Message), node: &Node, input: &Shape) -> Result<(), String> {
        let is_time_first = node.inputs.iter().any(|input| self.time_first.contains(input));
        let is_about_time = matches!(node.layer, Layer::Operation(Operation::Permute(_) | Operation::Lstm(_)));
        if !is_time_first && !is_about_time {
            return Ok(());
        }
        let becomes = match &node.layer {
            Layer::Operation(Operation::Permute(_)) => {
                let order = order_of_axes(text.message("permute_param"), input)?;
                match (is_time_first, order.as_slice()) {
                    (false, [_, 0, ..]) => true,
                    (false, _) | (true, [1, 0, ..]) => false,
                    (true, _) => {
                        return Err(format!(
                            "order {order:?} should begin with [1, 0], which puts the batch back before time, as its bottom has time first"
                        ));
                    }
                }
            }
            Layer::Operation(Operation::Lstm(_)) if is_time_first => true,
            Layer::Operation(Operation::Lstm(_)) => {
                return Err(
                    "its first bottom should have time first and the batch second, as a Permute makes it".to_owned()
                );
            }
            Layer::InnerProduct(inner) if inner.axis >= 2 => true,
            Layer::Softmax { axis: 2.. }
            | Layer::Relu { .. }
            | Layer::Elu { .. }
            | Layer::Sigmoid
            | Layer::Tanh
            | Layer::Dropout { .. }
            | Layer::Split
            | Layer::Operation(Operation::Pointwise(_)) => true,
            Layer::InnerProduct(_)
            | Layer::Softmax { .. }
            | Layer::Convolution(_)
            | Layer::Prelu { .. }
            | Layer::Pooling(_)
            | Layer::Lrn(_)
            | Layer::BatchNorm(_)
            | Layer::Scale(_)
            | Layer::Bias(_)
            | Layer::Broadcast { .. }
            | Layer::Concat { .. }
            | Layer::Eltwise(_)
            | Layer::Flatten
            | Layer::Reshape { .. }
            | Layer::Slice { .. }
            | Layer::Operation(_) => {
                return Err(format!(
                    "{kind} of a value whose first axis is time and whose second is the batch is not supported"
                ));
            }
        };
        if becomes {
            self.time_first.extend(node.outputs.iter().cloned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::caffe::{NetworkOptions, parse_network};

    /// Series of 6 steps of 4 numbers, and these layers.
    fn network(layers: &str) -> Result<Vec<usize>, String> {
        let text = format!("input: 'data' input_shape {{ dim: [1, 4, 6] }} {layers}");
        let graph = parse_network(&text, &NetworkOptions::default()).map_err(|error| error.to_string())?;
        Ok(graph.shapes().map_err(|error| error.to_string())?[graph.output()].dims().to_vec())
    }

    const PERMUTE: &str =
        "layer { name: 'p' type: 'Permute' bottom: 'data' top: 'p' permute_param { order: [2, 0, 1] } }";
    const BEGIN: &str = "layer { name: 'c' type: 'ContinuationIndicator' bottom: 'p' top: 'c'
        continuation_indicator_param { time_step: 6 axis: 1 } }";
    const LSTM: &str =
        "layer { name: 'l' type: 'LSTM' bottom: 'p' bottom: 'c' top: 'l' recurrent_param { num_output: 3 } }";

    #[test]
    fn series_of_each_sample_are_read() {
        let series = [PERMUTE, BEGIN, LSTM].concat();
        assert_eq!(network(&series), Ok(vec![6, 3]));
        for (beside, expected) in [
            (
                "layer { name: 'f' type: 'InnerProduct' bottom: 'l' top: 'f' inner_product_param { num_output: 9 axis: 2 } }",
                vec![6, 9],
            ),
            ("layer { name: 's' type: 'Softmax' bottom: 'l' top: 's' softmax_param { axis: -1 } }", vec![6, 3]),
            ("layer { name: 'r' type: 'ReLU' bottom: 'l' top: 'l' }", vec![6, 3]),
            (
                "layer { name: 'b' type: 'Permute' bottom: 'l' top: 'b' permute_param { order: [1, 0, 2] } }
                 layer { name: 'f' type: 'Flatten' bottom: 'b' top: 'f' }",
                vec![18],
            ),
        ] {
            assert_eq!(network(&[&series, beside].concat()), Ok(expected), "{beside}");
        }
    }

    #[test]
    fn what_would_mix_samples_is_refused() {
        let series = [PERMUTE, BEGIN, LSTM].concat();
        let other = |from: &str, to: &str| series.replace(from, to);
        let with = |beside: &str| [&series, beside].concat();
        for (text, expected) in [
            (
                other("axis: 1", "axis: 0"),
                "layer c: axis should be 1, the batch of a value whose first axis is time, found 0",
            ),
            (other("time_step: 6", "time_step: 5"), "layer c: time_step should be 6, as its bottom has steps, found 5"),
            (
                other("order: [2, 0, 1]", "order: [0, 2, 1]"),
                "layer c: axis should be 1, the batch of a value whose first axis is time",
            ),
            (
                other("bottom: 'p' bottom: 'c'", "bottom: 'p'"),
                "layer l: expected a series and the top of a ContinuationIndicator",
            ),
            (
                other("bottom: 'p' bottom: 'c'", "bottom: 'p' bottom: 'data'"),
                "layer l: expected a series and the top of a",
            ),
            (
                other("bottom: 'p' bottom: 'c'", "bottom: 'data' bottom: 'c'"),
                "layer l: its first bottom should have time first",
            ),
            (
                with("layer { name: 'r' type: 'ReLU' bottom: 'c' top: 'r' }"),
                "layer r: its bottom c says where series begin",
            ),
            (
                with("layer { name: 'r' type: 'Flatten' bottom: 'l' top: 'r' }"),
                "layer r: Flatten of a value whose first axis is time",
            ),
            (
                with(
                    "layer { name: 'r' type: 'InnerProduct' bottom: 'l' top: 'r' inner_product_param { num_output: 2 } }",
                ),
                "layer r: InnerProduct of a value whose first axis is time",
            ),
            (
                with("layer { name: 'r' type: 'Permute' bottom: 'l' top: 'r' permute_param { order: [0, 2, 1] } }"),
                "layer r: order [0, 2, 1] should begin with [1, 0]",
            ),
            (
                other("num_output: 3", "num_output: 3 expose_hidden: true"),
                "recurrent_param.expose_hidden should be false",
            ),
            (other("num_output: 3", "num_output: 99999999999999999"), "layer l"),
        ] {
            let error = network(&text).expect_err(expected);
            assert!(error.contains(expected), "{error}, expected {expected}");
        }
    }
}

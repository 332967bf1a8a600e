//! Measures of the confusion matrix: precision, recall, F1, shares per class, Matthews correlation.

use serde_json::{Map, Value, json};

use super::accuracy::predicted;
use super::{Classified, MeasureValues};
use crate::labels::Labels;

/// Added to denominators, as in the original: results of perfect answers are just below 1.
const EPSILON: f64 = 1e-8;

/// Counts by predicted class and right class.
pub(super) struct Confusion {
    classes: usize,
    /// `[predicted × classes + right]`.
    counts: Vec<f64>,
}

impl Confusion {
    /// Counts all answers.
    pub(super) fn of(answers: &Classified<'_>) -> Self {
        let classes = answers.scores.row_len();
        let mut counts = vec![0.0; classes * classes];
        answers.samples().for_each(|(scores, class)| counts[predicted(scores) * classes + class] += 1.0);
        Self { classes, counts }
    }

    fn count(&self, predicted: usize, right: usize) -> f64 {
        self.counts[predicted * self.classes + right]
    }

    fn per_class(&self, value: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..self.classes).map(value).collect()
    }

    fn predicted_as(&self, class: usize) -> f64 {
        (0..self.classes).map(|right| self.count(class, right)).sum()
    }

    fn of_class(&self, class: usize) -> f64 {
        (0..self.classes).map(|predicted| self.count(predicted, class)).sum()
    }

    fn precisions(&self) -> Vec<f64> {
        self.per_class(|class| self.count(class, class) / (self.predicted_as(class) + EPSILON))
    }

    fn recalls(&self) -> Vec<f64> {
        self.per_class(|class| self.count(class, class) / (self.of_class(class) + EPSILON))
    }

    /// Writes `f1`, `precision`, `recall` (means over all classes), `accp` (share of right answers), and the values of each
    /// class where asked.
    pub(super) fn write_f1(&self, per_class: bool, labels: &Labels, values: &mut MeasureValues) {
        let (precisions, recalls) = (self.precisions(), self.recalls());
        let f1s = self.per_class(|class| {
            let (precision, recall) = (precisions[class], recalls[class]);
            2.0 * precision * recall / (precision + recall + EPSILON)
        });
        let mean = |values: &[f64]| values.iter().sum::<f64>() / self.classes as f64;
        let right: f64 = (0..self.classes).map(|class| self.count(class, class)).sum();
        values.set("f1", mean(&f1s));
        values.set("precision", mean(&precisions));
        values.set("recall", mean(&recalls));
        values.set("accp", right / self.counts.iter().sum::<f64>());
        if per_class {
            values.set("precisions", precisions);
            values.set("recalls", recalls);
            values.set("f1s", f1s);
            values.set("labels", self.names(labels));
        }
    }

    /// Writes `cmdiag`, the recall of each class.
    pub(super) fn write_recalls(&self, labels: &Labels, values: &mut MeasureValues) {
        values.set("cmdiag", self.recalls());
        values.set("labels", self.names(labels));
    }

    /// Writes `cmfull`: for each class, the shares in which it is predicted as each class; zeros for a class without
    /// samples.
    pub(super) fn write_matrix(&self, labels: &Labels, values: &mut MeasureValues) {
        let column = |right: usize| -> Value {
            let total = self.of_class(right).max(1.0);
            let shares = self.per_class(|predicted| self.count(predicted, right) / total);
            let mut entry = Map::new();
            entry.insert(labels.name(right), json!(shares));
            entry.into()
        };
        values.set("cmfull", (0..self.classes).map(column).collect::<Vec<Value>>());
    }

    /// `mcc` of the first two classes (Matthews 1975); 0 where its denominator is.
    pub(super) fn matthews(&self) -> f64 {
        if self.classes < 2 {
            return 0.0;
        }
        let (negative, missed) = (self.count(0, 0), self.count(0, 1));
        let (alarm, positive) = (self.count(1, 0), self.count(1, 1));
        let product = (positive + alarm) * (positive + missed) * (negative + alarm) * (negative + missed);
        let denominator = if product == 0.0 { 1.0 } else { product.sqrt() };
        (positive * negative - alarm * missed) / denominator
    }

    fn names(&self, labels: &Labels) -> Vec<String> {
        (0..self.classes).map(|class| labels.name(class)).collect()
    }
}

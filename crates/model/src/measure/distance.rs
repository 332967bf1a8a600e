//! Distances between values and targets. Values of single targets follow their formula for one target; the original
//! mixes them up (contract.md 4.3).

use super::MeasureValues;
use crate::tensor::Floats;

/// Writes `eucll`: the mean over samples of the Euclidean distance over the number of targets; `eucll_i` for each of several
/// targets; with a threshold `eucll_no_T`, in which smaller differences do not count.
pub(super) fn write_euclidean(outputs: &Floats, targets: &Floats, threshold: Option<f64>, values: &mut MeasureValues) {
    let distance = |counts: &dyn Fn(f64) -> bool| {
        mean_of_rows(outputs, targets, |differences| {
            let squares: f64 = differences.filter(|(d, _)| counts(d.abs())).map(|(d, _)| d * d).sum();
            squares.sqrt()
        })
    };
    values.set("eucll", distance(&|_| true));
    write_each(outputs, targets, "eucll", |difference, _| difference.abs(), values);
    if let Some(threshold) = threshold {
        values.set(format!("eucll_no_{threshold:.6}"), distance(&|difference| difference >= threshold));
    }
}

/// Writes `l1`: the mean absolute difference; `l1_i` for each of several targets.
pub(super) fn write_absolute(outputs: &Floats, targets: &Floats, values: &mut MeasureValues) {
    values.set("l1", mean_of_rows(outputs, targets, |differences| differences.map(|(d, _)| d.abs()).sum()));
    write_each(outputs, targets, "l1", |difference, _| difference.abs(), values);
}

/// Writes `percent`: the mean absolute difference in percent of the target; `percent_i` for each of several targets.
pub(super) fn write_percent(outputs: &Floats, targets: &Floats, values: &mut MeasureValues) {
    let percent = |difference: f64, target: f64| 100.0 * difference.abs() / (target.abs() + 1e-9);
    let all = mean_of_rows(outputs, targets, |differences| differences.map(|(d, target)| percent(d, target)).sum());
    values.set("percent", all);
    write_each(outputs, targets, "percent", percent, values);
}

/// The mean over samples of `of(differences)` over the number of targets. Differences come with their target.
fn mean_of_rows(outputs: &Floats, targets: &Floats, of: impl Fn(&mut dyn Iterator<Item = (f64, f64)>) -> f64) -> f64 {
    let rows = (0..outputs.rows()).map(|row| of(&mut differences(outputs.row(row), targets.row(row))));
    rows.sum::<f64>() / outputs.rows() as f64 / outputs.row_len().max(1) as f64
}

/// Writes the mean of `of(difference, target)` over the samples for each target, where there are several.
fn write_each(
    outputs: &Floats,
    targets: &Floats,
    name: &str,
    of: impl Fn(f64, f64) -> f64,
    values: &mut MeasureValues,
) {
    let count = outputs.row_len();
    if count < 2 {
        return;
    }
    let mut sums = vec![0.0; count];
    for row in 0..outputs.rows() {
        for (sum, (difference, target)) in sums.iter_mut().zip(differences(outputs.row(row), targets.row(row))) {
            *sum += of(difference, target);
        }
    }
    for (index, sum) in sums.into_iter().enumerate() {
        values.set(format!("{name}_{index}"), sum / outputs.rows() as f64);
    }
}

fn differences(outputs: &[f32], targets: &[f32]) -> impl Iterator<Item = (f64, f64)> {
    outputs.iter().zip(targets).map(|(&output, &target)| (f64::from(output) - f64::from(target), f64::from(target)))
}

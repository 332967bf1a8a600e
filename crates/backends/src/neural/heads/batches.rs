//! The numbers that heads work on: those of one output, as many arrays as there were runs.
//!
//! It owns how the arrays of several runs become one, and the memory that this takes. It must not know what the numbers mean.

use dede_model::error::{Error, Result};
use dede_model::request_memory::MemoryShare;
use dede_model::tensor::Floats;

/// The numbers of one output for the samples of a request: an array for each run, whose first axis is that of the samples, in order.
#[derive(Debug)]
pub struct Batches(Vec<Floats>);

impl Batches {
    /// Those of the runs, in the order of the samples.
    pub fn new(runs: Vec<Floats>) -> Self {
        Self(runs)
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.0.iter().map(Floats::rows).sum()
    }

    /// Numbers of a sample of the first run; other runs may have another number where a network's output has no fixed shape.
    pub fn columns(&self) -> usize {
        self.0.first().map_or(0, Floats::row_len)
    }

    /// The numbers of each sample, in order.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.0.iter().flat_map(|run| (0..run.rows()).map(|row| run.row(row)))
    }

    /// The shape and the numbers of each sample, in order.
    pub fn shaped_rows(&self) -> impl Iterator<Item = (&[usize], &[f32])> {
        self.0.iter().flat_map(|run| (0..run.rows()).map(|row| (run.shape().get(1..).unwrap_or(&[]), run.row(row))))
    }

    /// Changes the numbers of each sample where they are.
    pub fn change_rows(&mut self, mut change: impl FnMut(&mut [f32])) {
        for run in &mut self.0 {
            let (shape, row) = (run.shape().to_vec(), run.row_len().max(1));
            let mut values = std::mem::replace(run, Floats::from_vec(Vec::new())).into_values();
            values.chunks_exact_mut(row).for_each(&mut change);
            *run = Floats::new(shape, values).expect("the number of values did not change");
        }
    }

    /// All of them below each other as `[samples, columns]`; those of one run are not copied.
    ///
    /// # Errors
    /// [`Error::BadInput`] where a sample has another number of values; those of the memory, which the copy of several runs takes
    /// for as long as they are there.
    pub fn stacked(self, columns: usize, memory: &MemoryShare) -> Result<Floats> {
        let (rows, runs) = (self.samples(), self.0);
        // Several runs and the copy of them are there at once.
        let copied = if runs.len() == 1 { 0 } else { rows.saturating_mul(columns).saturating_mul(size_of::<f32>()) };
        let _copy = memory.try_borrow(copied as u64)?;
        let mut runs = runs.into_iter();
        let mut values = runs.next().map(|run| values_of(run, columns)).transpose()?.unwrap_or_default();
        values.reserve_exact(rows.saturating_mul(columns).saturating_sub(values.len()));
        for run in runs {
            values.extend(values_of(run, columns)?);
        }
        Floats::new(vec![rows, columns], values).map_err(|error| Error::Internal(error.to_string()))
    }
}

fn values_of(run: Floats, columns: usize) -> Result<Vec<f32>> {
    if run.row_len() != columns {
        let reason = format!(
            "each is answered with {columns} values, but for some that the network answers with {}",
            run.row_len()
        );
        return Err(Error::bad_input_at("data", reason));
    }
    Ok(run.into_values())
}

#[cfg(test)]
mod tests {
    use dede_model::request_memory::RequestMemory;

    use super::*;

    fn run(shape: &[usize], first: f32) -> Floats {
        let count = shape.iter().product::<usize>();
        Floats::new(shape.to_vec(), (0..count).map(|place| first + place as f32).collect()).expect("fits")
    }

    #[test]
    fn runs_stand_below_each_other_in_order() {
        let memory = MemoryShare::unbounded();
        for (runs, samples, columns, values) in [
            (vec![], 0, 0, vec![]),
            (vec![run(&[1, 2], 0.0)], 1, 2, vec![0.0, 1.0]),
            (vec![run(&[2, 1, 2], 0.0), run(&[1, 2], 9.0)], 3, 2, vec![0.0, 1.0, 2.0, 3.0, 9.0, 10.0]),
            (vec![run(&[2], 0.0), run(&[1, 1], 7.0)], 3, 1, vec![0.0, 1.0, 7.0]),
        ] {
            let batches = Batches::new(runs);
            assert_eq!((batches.samples(), batches.columns()), (samples, columns));
            assert_eq!(batches.rows().flatten().copied().collect::<Vec<_>>(), values);
            let stacked = batches.stacked(columns, &memory).expect("alike");
            assert_eq!((stacked.shape(), stacked.values()), (&[samples, columns][..], &values[..]));
        }
    }

    #[test]
    fn runs_of_other_lengths_are_refused() {
        let batches = || Batches::new(vec![run(&[1, 2], 0.0), run(&[1, 3], 0.0)]);
        let memory = MemoryShare::unbounded();
        for columns in [2, 3] {
            let error = batches().stacked(columns, &memory).expect_err("both lengths").to_string();
            assert!(
                error
                    .contains(&format!("{columns} values, but for some that the network answers with {}", 5 - columns)),
                "{error}"
            );
        }
    }

    #[test]
    fn rows_are_changed_where_they_are() {
        let mut batches = Batches::new(vec![run(&[2, 2], 0.0), run(&[1, 2], 9.0)]);
        batches.change_rows(|row| row.swap(0, 1));
        assert_eq!(batches.rows().flatten().copied().collect::<Vec<_>>(), [1.0, 0.0, 3.0, 2.0, 10.0, 9.0]);
    }

    #[test]
    fn only_several_runs_take_memory_for_a_copy() {
        let large = || run(&[1, 32 << 10], 0.0);
        let memory = RequestMemory::new(64 << 10);
        let one = Batches::new(vec![large()]).stacked(32 << 10, &memory.share());
        assert!(one.is_ok(), "the one array is given on");
        let two = Batches::new(vec![large(), large()]).stacked(32 << 10, &memory.share());
        assert!(matches!(two, Err(Error::TooLarge(_))), "{two:?}");
    }
}

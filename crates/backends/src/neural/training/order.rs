//! Which items make up each batch.
//!
//! A pure function of the seed and a position: nothing has to be stored to go on after an interruption. Batches wrap around the
//! end of an epoch, so that every batch has the size asked for.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Streams of one seed, so that data order, initial weights and dropout do not share random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// Order of the items of an epoch.
    Order { epoch: u64 },
    /// Initial weights.
    Weights,
    /// The mask of one dropout layer for one batch.
    Dropout { batch: u64, layer: u64 },
}

/// The generator of `stream`.
pub(super) fn generator(seed: u64, stream: Stream) -> ChaCha8Rng {
    let (kind, first, second) = match stream {
        Stream::Order { epoch } => (0u64, epoch, 0),
        Stream::Weights => (1, 0, 0),
        Stream::Dropout { batch, layer } => (2, batch, layer),
    };
    let mut key = [0u8; 32];
    for (place, word) in key.chunks_exact_mut(8).zip([seed, kind, first, second]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// Yields the indices of batch after batch.
#[derive(Debug)]
pub(super) struct Order {
    items: usize,
    batch_size: usize,
    seed: u64,
    shuffle: bool,
    epoch: Option<u64>,
    permutation: Vec<usize>,
}

impl Order {
    /// For `items` items, at least one. Without `shuffle` they come as they are stored.
    pub(super) fn new(items: usize, batch_size: usize, seed: u64, shuffle: bool) -> Self {
        Self { items, batch_size, seed, shuffle, epoch: None, permutation: (0..items).collect() }
    }

    /// The indices of the 0-based `batch`.
    pub(super) fn batch(&mut self, batch: u64) -> Vec<usize> {
        let start = u128::from(batch) * self.batch_size as u128;
        let mut indices = Vec::with_capacity(self.batch_size);
        for position in 0..self.batch_size as u128 {
            let at = start + position;
            self.turn_to((at / self.items as u128) as u64);
            indices.push(self.permutation[(at % self.items as u128) as usize]);
        }
        indices
    }

    fn turn_to(&mut self, epoch: u64) {
        if self.shuffle && self.epoch != Some(epoch) {
            self.permutation = (0..self.items).collect();
            self.permutation.shuffle(&mut generator(self.seed, Stream::Order { epoch }));
            self.epoch = Some(epoch);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_shuffling_batches_wrap_in_order() {
        let mut order = Order::new(5, 3, 1, false);
        assert_eq!(order.batch(0), [0, 1, 2]);
        assert_eq!(order.batch(1), [3, 4, 0]);
        assert_eq!(order.batch(2), [1, 2, 3]);
    }

    #[test]
    fn streams_and_seeds_differ() {
        use rand::Rng;
        let first = |seed, stream| generator(seed, stream).next_u64();
        let order = first(1, Stream::Order { epoch: 0 });
        assert_eq!(order, first(1, Stream::Order { epoch: 0 }));
        assert_ne!(order, first(2, Stream::Order { epoch: 0 }));
        assert_ne!(order, first(1, Stream::Order { epoch: 1 }));
        assert_ne!(order, first(1, Stream::Weights));
        assert_ne!(first(1, Stream::Dropout { batch: 1, layer: 0 }), first(1, Stream::Dropout { batch: 0, layer: 1 }));
    }

    proptest! {
        #[test]
        fn an_epoch_is_a_permutation_and_any_batch_can_be_asked_for_first(
            items in 1usize..40, batch_size in 1usize..60, seed: u64, batch in 0u64..20,
        ) {
            let mut order = Order::new(items, batch_size, seed, true);
            let all: Vec<usize> = (0..items as u64).flat_map(|batch| order.batch(batch)).collect();
            for epoch in all.chunks_exact(items) {
                let mut sorted = epoch.to_vec();
                sorted.sort_unstable();
                prop_assert_eq!(sorted, (0..items).collect::<Vec<_>>());
            }
            let again = Order::new(items, batch_size, seed, true).batch(batch);
            prop_assert_eq!(order.batch(batch), again);
        }
    }
}

//! Pixels in memory while one image is worked on. It must not know files, parameters or colours.

/// Interleaved pixels: `height × width × channels` values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raster<T> {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) channels: usize,
    pub(super) values: Vec<T>,
}

impl<T: Copy + Default> Raster<T> {
    /// Wraps values that a decoder wrote.
    pub(super) fn new(width: usize, height: usize, channels: usize, values: Vec<T>) -> Self {
        debug_assert_eq!(values.len(), width * height * channels);
        Self { width, height, channels, values }
    }

    /// All values zero: black.
    pub(super) fn black(width: usize, height: usize, channels: usize) -> Self {
        Self::new(width, height, channels, vec![T::default(); width * height * channels])
    }

    /// Values in one row.
    pub(super) fn row_len(&self) -> usize {
        self.width * self.channels
    }

    /// Row `y`, from the top.
    pub(super) fn row(&self, y: usize) -> &[T] {
        &self.values[y * self.row_len()..(y + 1) * self.row_len()]
    }

    /// Puts the image in the middle of a black square of `side`, which is at least as large.
    pub(super) fn padded_to_square(&self, side: usize) -> Self {
        let mut square = Self::black(side, side, self.channels);
        let (left, top) = ((side - self.width) / 2, (side - self.height) / 2);
        let row_len = self.row_len();
        for y in 0..self.height {
            let start = ((top + y) * side + left) * self.channels;
            square.values[start..start + row_len].copy_from_slice(self.row(y));
        }
        square
    }
}

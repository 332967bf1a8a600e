//! The arithmetic of pooling windows. It owns Caffe's rounding and divisor rules (Caffe's `pooling_layer.cpp`) and what they
//! are in terms of explicit padding, for engines whose own rules differ.

use serde::{Deserialize, Serialize};

/// Pooling by Caffe's rules; [`Pooling::windows`] does the arithmetic.
///
/// An average is divided by the number of positions of its window inside the *padded* input: padding counts, what a last
/// window of [`Rounding::Ceil`] has beyond the padding does not. A maximum never sees the padding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pooling {
    /// Maximum or average.
    pub method: PoolingMethod,
    /// Extents of the window; ignored when `global`.
    pub kernel: [usize; 2],
    /// Steps between windows; ignored when `global`.
    pub stride: [usize; 2],
    /// Padding before and after, less than the kernel; ignored when `global`.
    pub padding: [usize; 2],
    /// One window, the whole input.
    pub global: bool,
    /// What happens to a last window that the input does not fill.
    pub rounding: Rounding,
}

/// What a pooling window becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolingMethod {
    /// Its maximum.
    Max,
    /// Its average.
    Average,
}

/// What happens to a last window that the input does not fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Kept, if it starts inside the input or its leading padding (Caffe's default).
    Ceil,
    /// Dropped.
    Floor,
}

/// The windows of a pooling along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Extent of a window.
    pub kernel: usize,
    /// Step between windows.
    pub stride: usize,
    /// Padding before the input, which counts in averages.
    pub padding: usize,
    /// Number of windows.
    pub count: usize,
    /// Extent of the input.
    pub input: usize,
}

impl Windows {
    /// Padding after the input so that exactly [`Windows::count`] windows fit by the rule "round down"; less than `kernel`.
    #[must_use]
    pub fn end_padding(&self) -> usize {
        ((self.count - 1) * self.stride + self.kernel).saturating_sub(self.input + self.padding)
    }

    /// How much of [`Windows::end_padding`] does not count in averages: what lies beyond a padding as wide as the one before.
    #[must_use]
    pub fn uncounted_padding(&self) -> usize {
        self.end_padding().saturating_sub(self.padding)
    }

    /// `(start, end, divisor)` of each window: the part inside the input, and by what its sum is divided in an average.
    pub fn spans(&self) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let Self { kernel, stride, padding, count, input } = *self;
        (0..count).map(move |index| {
            let start = index * stride;
            let end = (start + kernel).min(input + 2 * padding);
            (start.saturating_sub(padding), end.saturating_sub(padding).min(input), end - start)
        })
    }
}

impl Pooling {
    /// The windows along height and width for an input of `[height, width]`.
    ///
    /// # Errors
    /// Says which option is zero, too large, or leaves no window.
    pub fn windows(&self, input: [usize; 2]) -> Result<[Windows; 2], String> {
        if self.global {
            return Ok(input.map(|input| Windows { kernel: input, stride: 1, padding: 0, count: 1, input }));
        }
        Ok([self.windows_along(0, input[0])?, self.windows_along(1, input[1])?])
    }

    fn windows_along(&self, axis: usize, input: usize) -> Result<Windows, String> {
        let (kernel, stride, padding) = (self.kernel[axis], self.stride[axis], self.padding[axis]);
        if kernel == 0 || stride == 0 {
            return Err("kernel and stride should be at least 1".to_owned());
        }
        if padding >= kernel {
            return Err(format!("the padding should be below the kernel of {kernel}, found {padding}"));
        }
        let padded = padding.checked_mul(2).and_then(|both| both.checked_add(input));
        let Some(free) = padded.and_then(|padded| padded.checked_sub(kernel)) else {
            return Err(format!("a window of {kernel} does not fit an input of {input} with padding {padding}"));
        };
        let mut count = match self.rounding {
            Rounding::Ceil => free.div_ceil(stride) + 1,
            Rounding::Floor => free / stride + 1,
        };
        // Caffe asks this only when there is padding; without it such a window would be empty and its value undefined.
        if (count - 1) * stride >= input + padding {
            count -= 1;
        }
        Ok(Windows { kernel, stride, padding, count, input })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pooling(kernel: usize, stride: usize, padding: usize, rounding: Rounding) -> Pooling {
        let pair = |value| [value; 2];
        Pooling {
            method: PoolingMethod::Average,
            kernel: pair(kernel),
            stride: pair(stride),
            padding: pair(padding),
            global: false,
            rounding,
        }
    }

    #[test]
    fn counts_windows_by_caffes_rule() {
        // (input, kernel, stride, padding) -> windows rounding up, windows rounding down
        let cases = [
            ((113, 3, 2, 0), 56, 56),
            ((112, 3, 2, 0), 56, 55),
            ((62, 2, 2, 0), 31, 31),
            ((112, 3, 2, 1), 57, 56),
            // The fourth window would start at 6, beyond 4 + 1: dropped although rounding up keeps it.
            ((4, 2, 2, 1), 3, 3),
            ((5, 2, 3, 1), 2, 2),
            ((6, 2, 3, 1), 3, 3),
            ((7, 7, 1, 0), 1, 1),
        ];
        for ((input, kernel, stride, padding), ceil, floor) in cases {
            let count = |rounding| pooling(kernel, stride, padding, rounding).windows([input; 2]).unwrap()[0].count;
            assert_eq!((count(Rounding::Ceil), count(Rounding::Floor)), (ceil, floor), "input {input}");
        }
    }

    #[test]
    fn explicit_padding_gives_the_same_windows_when_rounding_down() {
        for (input, kernel, stride) in (1..9).flat_map(|i| (1..5).flat_map(move |k| (1..5).map(move |s| (i, k, s)))) {
            for padding in 0..kernel {
                let Ok([windows, _]) = pooling(kernel, stride, padding, Rounding::Ceil).windows([input; 2]) else {
                    continue;
                };
                let padded = input + padding + windows.end_padding();
                assert_eq!((padded - kernel) / stride + 1, windows.count, "{windows:?}");
                assert!(windows.end_padding() < kernel, "{windows:?}");
            }
        }
    }

    #[test]
    fn divisors_count_padding_but_not_what_lies_beyond() {
        let [windows, _] = pooling(3, 2, 1, Rounding::Ceil).windows([4; 2]).unwrap();
        assert_eq!(windows.spans().collect::<Vec<_>>(), [(0, 2, 3), (1, 4, 3), (3, 4, 2)]);
        assert_eq!((windows.end_padding(), windows.uncounted_padding()), (2, 1));
    }

    #[test]
    fn refuses_what_leaves_no_window() {
        for (kernel, stride, padding) in [(0, 1, 0), (2, 0, 0), (2, 1, 2), (9, 1, 0), (usize::MAX, 1, usize::MAX - 1)] {
            assert!(pooling(kernel, stride, padding, Rounding::Ceil).windows([4; 2]).is_err());
        }
    }
}

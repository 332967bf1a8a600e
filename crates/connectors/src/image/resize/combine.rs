//! What the second pass does with intermediate rows, whichever instructions it is compiled for. It must not know how an
//! image is walked through.

/// Turns `N` intermediate rows, by their weights, into one row of the result; all rows have the same length.
pub(super) trait Combine<T, const N: usize>: Copy + Fn([&[f32]; N], &[f32; N], &mut [T]) {}

impl<F: Copy + Fn([&[f32]; N], &[f32; N], &mut [T]), T, const N: usize> Combine<T, N> for F {}

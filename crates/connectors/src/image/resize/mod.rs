//! Resizing with the results of OpenCV 4 (`cv::resize` without IPP), value for value on 8 bits.
//!
//! OpenCV's rules are facts of its `modules/imgproc/src/resize.cpp`; expected values from it are stored below
//! `tests/fixtures/opencv` and compared in tests. It must not know files or parameters.

mod area;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod axis;
mod combine;
mod cubic;
mod lanczos4;
mod linear;
mod nearest;
mod separable;
#[cfg(test)]
mod tests;
mod vectors;

use self::vectors::Vectors;
use super::raster::Raster;

/// `interp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Interpolation {
    Nearest,
    Linear,
    Area,
    Lanczos4,
    #[default]
    Cubic,
}

impl Interpolation {
    /// Names as on the wire; anything unknown is cubic, as in the original.
    pub(super) fn from_name(name: &str) -> Self {
        match name {
            "nearest" => Self::Nearest,
            "linear" => Self::Linear,
            "area" => Self::Area,
            "lanczos4" => Self::Lanczos4,
            _ => Self::Cubic,
        }
    }

    /// The name on the wire.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Linear => "linear",
            Self::Area => "area",
            Self::Lanczos4 => "lanczos4",
            Self::Cubic => "cubic",
        }
    }
}

/// A size, and the exact factors that lead to it: they differ from `size / source size` when the size was rounded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scaling {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Target columns per source column.
    pub(super) factor_x: f64,
    /// Target rows per source row.
    pub(super) factor_y: f64,
}

impl Scaling {
    /// To a given size.
    pub(super) fn to_size(source: (usize, usize), width: usize, height: usize) -> Self {
        let factor = |to: usize, from: usize| to as f64 / from as f64;
        Self { width, height, factor_x: factor(width, source.0), factor_y: factor(height, source.1) }
    }

    /// By one factor on both axes; the size is rounded half to even, and may be 0.
    pub(super) fn by_factor(source: (usize, usize), factor: f64) -> Self {
        let scaled = |length: usize| (length as f64 * factor).round_ties_even() as usize;
        Self { width: scaled(source.0), height: scaled(source.1), factor_x: factor, factor_y: factor }
    }
}

/// Values that can be resized.
pub(super) trait Sample:
    Copy + Default + Into<f32> + cubic::Cubic + linear::Linear + lanczos4::Lanczos4
{
    /// Coefficients are rounded to multiples of 1/2048 and kept times 2048.
    const FIXED_POINT: bool;

    /// Rounds half to even and saturates.
    fn from_f32(value: f32) -> Self;

    /// The rounded mean of four values whose sum is given.
    fn quarter(sum: u32) -> Self;

    /// As an integer.
    fn to_u32(self) -> u32;

    /// The same memory, where values are bytes.
    fn bytes(values: &[Self]) -> Option<&[u8]>;
}

impl Sample for u8 {
    const FIXED_POINT: bool = true;

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        whole_number(value).clamp(0, 255) as Self
    }

    fn quarter(sum: u32) -> Self {
        ((sum + 2) >> 2) as Self
    }

    fn to_u32(self) -> u32 {
        self.into()
    }

    fn bytes(values: &[Self]) -> Option<&[u8]> {
        Some(values)
    }
}

impl Sample for u16 {
    const FIXED_POINT: bool = false;

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        whole_number(value).clamp(0, 65_535) as Self
    }

    fn quarter(sum: u32) -> Self {
        ((sum + 2) >> 2) as Self
    }

    fn to_u32(self) -> u32 {
        self.into()
    }

    fn bytes(_: &[Self]) -> Option<&[u8]> {
        None
    }
}

/// The nearest whole number, half to even, of values below 2²² in magnitude: adding 1.5 · 2²³ leaves no bits for a
/// fraction. In contrast to a cast, this compiles to vector instructions.
#[inline(always)]
fn whole_number(value: f32) -> i32 {
    const SHIFT: f32 = 12_582_912.0;
    (value + SHIFT).to_bits().wrapping_sub(SHIFT.to_bits()) as i32
}

/// Resizes. Both sizes are at least 1 × 1. Gives nothing when the size stays as it is: there is nothing to do then,
/// whatever the interpolation.
pub(super) fn resize<T: Sample>(source: &Raster<T>, scaling: &Scaling, method: Interpolation) -> Option<Raster<T>> {
    resize_with(source, scaling, method, Vectors::detect())
}

/// [`resize`] with given vector instructions, which do not change the result.
fn resize_with<T: Sample>(
    source: &Raster<T>,
    scaling: &Scaling,
    method: Interpolation,
    vectors: Vectors,
) -> Option<Raster<T>> {
    if (scaling.width, scaling.height) == (source.width, source.height) {
        return None;
    }
    let steps = area::Steps::of(scaling);
    Some(match method {
        Interpolation::Nearest => nearest::resize(source, scaling),
        Interpolation::Linear if steps.is_half() => area::resize(source, scaling, &steps),
        Interpolation::Linear => linear::resize(source, scaling, axis::Positions::Centres, vectors),
        Interpolation::Area if steps.shrink() => area::resize(source, scaling, &steps),
        // Enlarging by area is a linear interpolation with other positions.
        Interpolation::Area => linear::resize(source, scaling, axis::Positions::Edges, vectors),
        Interpolation::Cubic => cubic::resize(source, scaling, vectors),
        Interpolation::Lanczos4 => lanczos4::resize(source, scaling, vectors),
    })
}

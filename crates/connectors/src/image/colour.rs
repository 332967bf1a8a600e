//! Changes of colours on decoded pixels: grey, histogram equalization, channel order.
//!
//! Formulas and their fixed-point rounding are OpenCV's (`cv::cvtColor`, `cv::equalizeHist`), value for value. It must
//! not know files or parameters.

use super::raster::Raster;

/// Which channel comes first in colour pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    RedFirst,
    BlueFirst,
}

/// Values of red, green and blue.
fn split<T: Copy>(pixel: &[T], order: Order) -> [T; 3] {
    match order {
        Order::RedFirst => [pixel[0], pixel[1], pixel[2]],
        Order::BlueFirst => [pixel[2], pixel[1], pixel[0]],
    }
}

/// How grey is computed: ITU-R BT.601 weights, in fixed point. Libraries differ in the last bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GreyRule {
    /// Weights of red, green and blue; their sum is `1 << bits`.
    weights: [u32; 3],
    bits: u32,
    /// Whether the nearest value is taken, or the one below.
    nearest: bool,
}

impl GreyRule {
    /// `cv::cvtColor`.
    pub(super) const CONVERSION: Self = Self { weights: [9798, 19235, 3735], bits: 15, nearest: true };
    /// OpenCV's readers of BMP and TIFF.
    pub(super) const READERS: Self = Self { weights: [4899, 9617, 1868], bits: 14, nearest: true };
    /// OpenCV's reader of BMP with alpha.
    pub(super) const BMP_WITH_ALPHA: Self = Self { nearest: false, ..Self::READERS };
    /// libpng, asked for weights of 0.299 and 0.587, on 8 bits.
    pub(super) const LIBPNG_8: Self = Self { weights: [9797, 19234, 3737], bits: 15, nearest: false };
    /// The same on 16 bits.
    pub(super) const LIBPNG_16: Self = Self { nearest: true, ..Self::LIBPNG_8 };

    /// Of red, green and blue.
    pub(super) fn grey(self, rgb: [u32; 3]) -> u32 {
        let sum: u32 = rgb.iter().zip(self.weights).map(|(value, weight)| value * weight).sum();
        (sum + if self.nearest { 1 << (self.bits - 1) } else { 0 }) >> self.bits
    }
}

/// Grey of a colour image, 8 or 16 bits; alpha is dropped.
pub(super) fn to_grey<T>(colour: &Raster<T>, order: Order, rule: GreyRule) -> Raster<T>
where
    T: Copy + Default + Into<u32> + TryFrom<u32>,
{
    // A weighted mean of values of T: always a value of T again.
    let grey = |pixel: &[T]| T::try_from(rule.grey(split(pixel, order).map(Into::into))).unwrap_or_default();
    let values = colour.values.chunks_exact(colour.channels).map(grey).collect();
    Raster::new(colour.width, colour.height, 1, values)
}

/// Each grey value `channels` times.
pub(super) fn replicate<T: Copy + Default>(grey: &Raster<T>, channels: usize) -> Raster<T> {
    let values = grey.values.iter().flat_map(|value| std::iter::repeat_n(*value, channels)).collect();
    Raster::new(grey.width, grey.height, channels, values)
}

/// Exchanges red and blue.
pub(super) fn swap_red_and_blue<T>(values: &mut [T], channels: usize) {
    for pixel in values.chunks_exact_mut(channels) {
        pixel.swap(0, 2);
    }
}

/// Spreads the histogram of one set of values over 0..=255.
fn equalize_values(values: &mut [u8]) {
    let mut histogram = [0usize; 256];
    for value in values.iter() {
        histogram[usize::from(*value)] += 1;
    }
    let Some(first) = histogram.iter().position(|count| *count > 0) else { return };
    let others = values.len() - histogram[first];
    if others == 0 {
        return;
    }
    let scale = 255.0 / others as f32;
    let mut table = [0u8; 256];
    let mut sum = 0;
    for (level, count) in histogram.iter().enumerate().skip(first + 1) {
        sum += count;
        table[level] = (sum as f32 * scale).round_ties_even() as u8;
    }
    for value in values {
        *value = table[usize::from(*value)];
    }
}

/// Histogram equalization: of grey values, or of the luma of colours (Y of YCrCb).
pub(super) fn equalize(raster: &mut Raster<u8>, order: Order) {
    if raster.channels == 1 {
        return equalize_values(&mut raster.values);
    }
    let pixels = raster.values.chunks_exact_mut(raster.channels);
    let converted: Vec<[u8; 3]> = pixels.map(|pixel| to_ycrcb(split(pixel, order))).collect();
    let mut luma: Vec<u8> = converted.iter().map(|[y, ..]| *y).collect();
    equalize_values(&mut luma);
    let pixels = raster.values.chunks_exact_mut(raster.channels);
    for ((pixel, y), [_, cr, cb]) in pixels.zip(luma).zip(converted) {
        let mut rgb = from_ycrcb([y, cr, cb]);
        if order == Order::BlueFirst {
            rgb.reverse();
        }
        pixel[..3].copy_from_slice(&rgb);
    }
}

/// Divides by 2¹⁴, rounding half up.
fn descale(value: i32) -> i32 {
    (value + (1 << 13)) >> 14
}

fn saturate(value: i32) -> u8 {
    value.clamp(0, 255) as u8
}

fn to_ycrcb(rgb: [u8; 3]) -> [u8; 3] {
    let [red, green, blue] = rgb.map(i32::from);
    let luma = descale(red * 4899 + green * 9617 + blue * 1868);
    let red_difference = descale((red - luma) * 11682 + (128 << 14));
    let blue_difference = descale((blue - luma) * 9241 + (128 << 14));
    [luma, red_difference, blue_difference].map(saturate)
}

fn from_ycrcb(ycrcb: [u8; 3]) -> [u8; 3] {
    let [luma, red_difference, blue_difference] = ycrcb.map(i32::from);
    let (cr, cb) = (red_difference - 128, blue_difference - 128);
    let red = luma + descale(cr * 22987);
    let green = luma + descale(cb * -5636 + cr * -11698);
    let blue = luma + descale(cb * 29049);
    [red, green, blue].map(saturate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::expected::{fnv, source};

    #[test]
    fn results_equal_those_of_opencv() {
        let cases = include_str!("../../tests/fixtures/opencv/colour.tsv");
        for line in cases.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').collect();
            let channels = fields[2].parse().expect("a number");
            let mut raster = source(fields[1], (61, 47), channels);
            if channels == 1 {
                raster.values.iter_mut().for_each(|value| *value = *value / 3 + 40);
            }
            match fields[0] {
                "grey" => raster = to_grey(&raster, Order::BlueFirst, GreyRule::CONVERSION),
                _ => equalize(&mut raster, Order::BlueFirst),
            }
            assert_eq!(fnv(raster.values.into_iter()), fields[3], "{line}");
        }
    }

    #[test]
    fn one_level_stays_as_it_is() {
        let mut flat = Raster::new(2, 2, 1, vec![7; 4]);
        equalize(&mut flat, Order::BlueFirst);
        assert_eq!(flat.values, [7; 4]);
    }

    #[test]
    fn the_order_of_channels_only_changes_the_order() {
        let blue_first = source("noise", (9, 7), 3);
        let mut red_first = blue_first.clone();
        swap_red_and_blue(&mut red_first.values, 3);
        let grey = |raster, order| to_grey(raster, order, GreyRule::CONVERSION);
        assert_eq!(grey(&red_first, Order::RedFirst), grey(&blue_first, Order::BlueFirst));
        let mut equalized = blue_first;
        equalize(&mut equalized, Order::BlueFirst);
        equalize(&mut red_first, Order::RedFirst);
        swap_red_and_blue(&mut red_first.values, 3);
        assert_eq!(red_first, equalized);
    }
}

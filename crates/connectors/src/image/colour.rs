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

/// Grey of a colour image, 8 or 16 bits (ITU-R BT.601 weights in 15 bits); alpha is dropped.
pub(super) fn to_grey<T: Copy + Default + Into<u32> + TryFrom<u32>>(colour: &Raster<T>, order: Order) -> Raster<T> {
    let grey = |pixel: &[T]| {
        let [red, green, blue] = split(pixel, order).map(Into::into);
        // A weighted mean of values of T: always a value of T again.
        T::try_from((red * 9798 + green * 19235 + blue * 3735 + (1 << 14)) >> 15).unwrap_or_default()
    };
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

//! Maps of one size from maps of another one: classes take the nearest pixel, confidences are interpolated between four.
//!
//! The places are those of OpenCV (`INTER_NEAREST` and `INTER_LINEAR` of `resize`, without antialiasing), which the original uses
//! (contract.md 5.6). It must not know what the values mean.

use super::Extent;

/// Each pixel takes the value of the pixel whose left upper corner is next above and to the left of its own:
/// `floor(place · from / to)`. Returns `to.pixels()` values, row by row; none where `values` is no map of that size.
pub fn nearest<T: Copy>(values: &[T], from: Extent, to: Extent) -> Vec<T> {
    if from.pixels() != values.len() || values.is_empty() {
        return Vec::new();
    }
    if from == to {
        return values.to_vec();
    }
    let (columns, rows) = (nearest_places(from.width, to.width), nearest_places(from.height, to.height));
    let mut scaled = Vec::with_capacity(to.pixels());
    let mut before = None;
    for row in rows {
        if before == Some(row) {
            // The same row again.
            scaled.extend_from_within(scaled.len() - to.width..);
            continue;
        }
        let line = &values[row * from.width..(row + 1) * from.width];
        scaled.extend(columns.iter().map(|&column| line[column]));
        before = Some(row);
    }
    scaled
}

fn nearest_places(from: usize, to: usize) -> Vec<usize> {
    let step = 1.0 / (to as f64 / from as f64);
    (0..to).map(|place| ((place as f64 * step).floor() as usize).min(from - 1)).collect()
}

/// Each pixel takes the mean of the four pixels around its middle, each weighted by how near its own middle is; beyond the middles of the
/// outermost pixels, these go on. Returns `to.pixels()` values, row by row; none where `values` is no map of that size.
pub fn bilinear(values: &[f32], from: Extent, to: Extent) -> Vec<f32> {
    if from.pixels() != values.len() || values.is_empty() {
        return Vec::new();
    }
    if from == to {
        return values.to_vec();
    }
    let (columns, rows) = (between(from.width, to.width), between(from.height, to.height));
    let line = |row: usize| &values[row * from.width..(row + 1) * from.width];
    let mut scaled = Vec::with_capacity(to.pixels());
    for down in &rows {
        let (upper, lower) = (line(down.first), line(down.second));
        scaled.extend(columns.iter().map(|across| {
            let upper = across.mix(upper[across.first], upper[across.second]);
            let lower = across.mix(lower[across.first], lower[across.second]);
            down.mix(upper, lower)
        }));
    }
    scaled
}

/// A place between two others.
struct Between {
    first: usize,
    second: usize,
    /// The weight of the second, from 0 to 1.
    weight: f32,
}

impl Between {
    fn mix(&self, first: f32, second: f32) -> f32 {
        first * (1.0 - self.weight) + second * self.weight
    }
}

fn between(from: usize, to: usize) -> Vec<Between> {
    let step = 1.0 / (to as f64 / from as f64);
    let place = |place: usize| {
        let middle = ((place as f64 + 0.5) * step - 0.5) as f32;
        let first = middle.floor();
        if first < 0.0 {
            return Between { first: 0, second: 0, weight: 0.0 };
        }
        let weight = middle - first;
        let first = first as usize;
        match first + 1 < from {
            true => Between { first, second: first + 1, weight },
            false => Between { first: from - 1, second: from - 1, weight: 0.0 },
        }
    };
    (0..to).map(place).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Cases of `scaling/generate.py`, made by OpenCV.
    const EXPECTED: &str = include_str!("scaling/expected.json");

    #[test]
    fn maps_are_scaled_as_opencv_does() {
        let cases: Value = serde_json::from_str(EXPECTED).expect("JSON");
        let cases = cases.as_array().expect("cases");
        assert!(cases.len() >= 8);
        for case in cases {
            let extent = |key: &str| {
                let side = |place: usize| case[key][place].as_u64().expect("a side") as usize;
                Extent { width: side(0), height: side(1) }
            };
            let floats = |key: &str| -> Vec<f32> {
                case[key]
                    .as_array()
                    .expect("numbers")
                    .iter()
                    .map(|one| one.as_f64().expect("a number") as f32)
                    .collect()
            };
            let (from, to, values) = (extent("from"), extent("to"), floats("values"));
            assert_eq!(nearest(&values, from, to), floats("nearest"), "{from:?} {to:?}");
            let found = bilinear(&values, from, to);
            assert_eq!(found.len(), to.pixels());
            for (found, expected) in found.iter().zip(floats("bilinear")) {
                assert!((found - expected).abs() < 1e-5, "{from:?} {to:?}: {found} {expected}");
            }
        }
    }

    #[test]
    fn what_is_no_map_has_no_pixels() {
        let (from, to) = (Extent { width: 2, height: 2 }, Extent { width: 4, height: 4 });
        assert_eq!(nearest(&[1_u16; 3], from, to), [0_u16; 0]);
        assert_eq!(bilinear(&[1.0; 3], from, to), [0.0; 0]);
    }
}

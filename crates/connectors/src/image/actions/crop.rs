//! `crop`: cuts what is in each box out of its image.
//!
//! It must not know what found the boxes, nor what reads the crops.

use dede_model::action::{Action, Effect, Made, PreparedAction, Seen, Yield};
use dede_model::error::Result;
use dede_model::parameters::Section;
use dede_model::parameters::keys::{Key, KeyTable, Moment};
use dede_model::picture::Picture;
use dede_model::request_memory::MemoryShare;
use serde::Deserialize;

use super::{bad, corners, made, parsed, picture};

/// The action named `crop`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Crop;

/// Largest size that may be asked for, pixels.
const MOST_PIXELS: i64 = 1 << 16;
/// Largest share of its size that a box may grow by on each side.
const MOST_PADDING: f64 = 1000.0;

/// Why no picture is written to files.
const NO_FILES: &str = "pictures are handed on in memory, and written nowhere";

const KEYS: [Key; 9] = [
    Key::applied("padding_ratio", Moment::Each),
    Key::applied("fixed_width", Moment::Each),
    Key::applied("fixed_height", Moment::Each),
    Key::applied("min_width", Moment::Each),
    Key::applied("min_height", Moment::Each),
    Key::applied("force_square", Moment::Each),
    Key::not_yet("generate_mask").because("no service here generates images within a mask"),
    Key::not_yet("save_crops").because(NO_FILES),
    Key::not_yet("save_path").because(NO_FILES),
];

impl Action for Crop {
    fn name(&self) -> &'static str {
        "crop"
    }

    fn keys(&self) -> KeyTable {
        KeyTable(&[&KEYS])
    }

    fn prepare(&self, parameters: &Section) -> Result<Box<dyn PreparedAction>> {
        let written: Written = parsed(parameters)?;
        let padding = written.padding_ratio.unwrap_or(0.0);
        if !(0.0..=MOST_PADDING).contains(&padding) {
            return Err(bad("padding_ratio", format!("expected 0 to {MOST_PADDING}, found {padding}")));
        }
        let size = |key: &str, size: Option<i64>| match size.unwrap_or(0) {
            size @ 0..=MOST_PIXELS => Ok(size as f64),
            size => Err(bad(key, format!("expected 0 to {MOST_PIXELS} pixels, found {size}"))),
        };
        Ok(Box::new(Cut {
            padding,
            fixed: [size("fixed_width", written.fixed_width)?, size("fixed_height", written.fixed_height)?],
            least: [size("min_width", written.min_width)?, size("min_height", written.min_height)?],
            is_square: written.force_square.unwrap_or(false),
        }))
    }
}

#[derive(Debug, Default, Deserialize)]
struct Written {
    padding_ratio: Option<f64>,
    fixed_width: Option<i64>,
    fixed_height: Option<i64>,
    min_width: Option<i64>,
    min_height: Option<i64>,
    force_square: Option<bool>,
}

/// How boxes are cut out. Sizes are in pixels, across and down; 0: not given.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cut {
    /// On each side, as a share of the box.
    padding: f64,
    fixed: [f64; 2],
    least: [f64; 2],
    is_square: bool,
}

/// A part of a picture that has pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl PreparedAction for Cut {
    fn yields(&self) -> Yield {
        Yield::PerClass
    }

    fn apply(&self, items: &[Seen<'_>], memory: &MemoryShare) -> Result<Effect> {
        let mut crops = Vec::new();
        for (item, seen) in items.iter().enumerate() {
            for class in 0..seen.found.len() {
                let corners = corners(seen, class, "crop")?;
                let kept = picture(seen)?;
                let size = (kept.picture.width(), kept.picture.height());
                // What is beside the image has no pixels.
                let Some(window) = self.window(kept.in_picture(corners), size) else { continue };
                let bytes = (window.width * window.height * kept.picture.channels()) as u64;
                memory.grow(bytes)?;
                crops.push(Made { item, class: Some(class), picture: cut(&kept.picture, window)? });
            }
        }
        Ok(Effect::Made(crops))
    }
}

impl Cut {
    /// The part of a picture that is cut out for a box of it, `[xmin, ymin, xmax, ymax]`; `None` where they have no pixel in common.
    fn window(&self, [xmin, ymin, xmax, ymax]: [f64; 4], (columns, rows): (usize, usize)) -> Option<Window> {
        let (across, down) = (columns as f64, rows as f64);
        let horizontal = self.padded(xmin, xmax, across)?;
        let vertical = self.padded(ymin, ymax, down)?;
        let [width, height] = self.sizes([horizontal.1 - horizontal.0, vertical.1 - vertical.0]);
        let (left, width) = whole(centred(horizontal, width, across))?;
        let (top, height) = whole(centred(vertical, height, down))?;
        Some(Window { left, top, width, height })
    }

    /// One extent of a box with its padding, within the picture.
    fn padded(&self, low: f64, high: f64, length: f64) -> Option<(f64, f64)> {
        let padding = self.padding * (high - low);
        let (low, high) = ((low - padding).max(0.0), (high + padding).min(length));
        (low < high).then_some((low, high))
    }

    /// The size that a crop gets instead of that of its box, across and down; `None`: that of its box.
    fn sizes(&self, of_box: [f64; 2]) -> [Option<f64>; 2] {
        let mut sizes =
            [0, 1].map(|axis| if self.least[axis] > of_box[axis] { self.least[axis] } else { self.fixed[axis] });
        if self.is_square {
            let sides = [0, 1].map(|axis| if sizes[axis] == 0.0 { of_box[axis].trunc() } else { sizes[axis] });
            sizes = [sides[0].max(sides[1]); 2];
        }
        sizes.map(|size| (size > 0.0).then_some(size))
    }
}

/// An extent of this size around the middle of another, moved into the picture, and cut where that is smaller.
fn centred((low, high): (f64, f64), size: Option<f64>, length: f64) -> (f64, f64) {
    let Some(size) = size else { return (low, high) };
    let middle = low + (high - low) / 2.0;
    let (mut low, mut high) = ((middle - size / 2.0).trunc(), (middle + size / 2.0).trunc());
    if low < 0.0 {
        (low, high) = (0.0, high - low);
    }
    if high > length {
        (low, high) = ((low - (high - length)).max(0.0), length);
    }
    (low, high)
}

/// Where an extent begins and how many pixels it has, unless it has none. Both are below the size of a picture.
fn whole((low, high): (f64, f64)) -> Option<(usize, usize)> {
    let length = (high - low).trunc() as usize;
    (length > 0).then_some((low.trunc() as usize, length))
}

fn cut(picture: &Picture, Window { left, top, width, height }: Window) -> Result<Picture> {
    let channels = picture.channels();
    let mut pixels = Vec::with_capacity(width * height * channels);
    for y in top..top + height {
        pixels.extend_from_slice(&picture.row(y)[left * channels..(left + width) * channels]);
    }
    made(width, height, channels, pixels)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{found, numbered, prepared};
    use super::*;

    fn cut_of(parameters: &serde_json::Value) -> Cut {
        let written: Written = serde_json::from_value(parameters.clone()).expect("parameters");
        let size = |size: Option<i64>| size.unwrap_or(0) as f64;
        Cut {
            padding: written.padding_ratio.unwrap_or(0.0),
            fixed: [size(written.fixed_width), size(written.fixed_height)],
            least: [size(written.min_width), size(written.min_height)],
            is_square: written.force_square.unwrap_or(false),
        }
    }

    #[test]
    fn boxes_become_windows_within_the_picture() {
        let picture = (100, 50);
        for (parameters, corners, expected) in [
            (json!({}), [10.0, 20.0, 30.0, 40.0], Some((10, 20, 20, 20))),
            (json!({}), [10.9, 20.9, 30.2, 40.2], Some((10, 20, 19, 19))),
            (json!({"padding_ratio": 0.1}), [10.0, 20.0, 30.0, 40.0], Some((8, 18, 24, 24))),
            (json!({"padding_ratio": 1.0}), [10.0, 20.0, 30.0, 40.0], Some((0, 0, 50, 50))),
            // Beyond the edges, and beside the picture.
            (json!({}), [-10.0, -10.0, 10.0, 10.0], Some((0, 0, 10, 10))),
            (json!({}), [90.0, 40.0, 190.0, 140.0], Some((90, 40, 10, 10))),
            (json!({}), [100.0, 0.0, 110.0, 10.0], None),
            (json!({}), [-10.0, 0.0, 0.0, 10.0], None),
            (json!({"fixed_width": 20}), [110.0, 0.0, 120.0, 10.0], None),
            (json!({}), [5.0, 60.0, 15.0, 70.0], None),
            (json!({}), [5.0, 5.0, 5.5, 15.0], None),
            // Sizes that are asked for, around the middle and moved into the picture.
            (json!({"fixed_width": 10, "fixed_height": 6}), [10.0, 20.0, 30.0, 40.0], Some((15, 27, 10, 6))),
            (json!({"fixed_width": 40}), [0.0, 20.0, 10.0, 40.0], Some((0, 20, 40, 20))),
            (json!({"fixed_width": 40}), [90.0, 20.0, 100.0, 40.0], Some((60, 20, 40, 20))),
            (json!({"fixed_width": 400, "fixed_height": 400}), [10.0, 20.0, 30.0, 40.0], Some((0, 0, 100, 50))),
            (json!({"min_width": 30}), [10.0, 20.0, 30.0, 40.0], Some((5, 20, 30, 20))),
            (json!({"min_width": 10}), [10.0, 20.0, 30.0, 40.0], Some((10, 20, 20, 20))),
            (json!({"min_height": 10}), [10.0, 20.0, 30.0, 22.0], Some((10, 16, 20, 10))),
            (json!({"force_square": true}), [10.0, 20.0, 40.0, 30.0], Some((10, 10, 30, 30))),
            (json!({"force_square": true, "fixed_height": 40}), [10.0, 20.0, 40.0, 30.0], Some((5, 5, 40, 40))),
        ] {
            let window = cut_of(&parameters).window(corners, picture);
            let found = window.map(|window| (window.left, window.top, window.width, window.height));
            assert_eq!(found, expected, "{parameters} {corners:?}");
        }
    }

    #[test]
    fn crops_are_the_pixels_of_their_boxes_and_each_box_is_cut_for_itself() {
        let action = prepared(&Crop, &json!({"min_width": 3})).expect("good parameters");
        let kept = [numbered(8, 4, 3), numbered(5, 5, 1)];
        let boxes = [
            vec![
                found("a", Some([0.0, 0.0, 1.0, 2.0])),
                found("b", Some([90.0, 0.0, 95.0, 2.0])),
                found("c", Some([1.0, 1.0, 6.0, 2.0])),
            ],
            vec![found("d", Some([0.0, 0.0, 5.0, 5.0]))],
        ];
        let items: Vec<Seen<'_>> =
            kept.iter().zip(&boxes).map(|(kept, found)| Seen { uri: "x", kept: Some(kept), found }).collect();
        let Ok(Effect::Made(crops)) = action.apply(&items, &MemoryShare::unbounded()) else { panic!("crops") };
        let places: Vec<_> = crops.iter().map(|made| (made.item, made.class)).collect();
        assert_eq!(places, [(0, Some(0)), (0, Some(2)), (1, Some(0))], "a box beside the image is passed over");
        let sizes: Vec<_> = crops.iter().map(|made| (made.picture.width(), made.picture.height())).collect();
        assert_eq!(sizes, [(3, 2), (5, 1), (5, 5)], "a least size is of the box that is smaller alone");
        assert_eq!(crops[1].picture.pixels(), &kept[0].picture.row(1)[3..18]);
        assert_eq!(crops[2].picture, kept[1].picture);
    }

    #[test]
    fn what_has_no_box_and_what_cannot_be_meant_is_refused() {
        let kept = numbered(4, 4, 3);
        let classes = [found("circle", None)];
        let items = [Seen { uri: "a.jpg", kept: Some(&kept), found: &classes }];
        let action = prepared(&Crop, &json!({})).expect("good parameters");
        let error = action.apply(&items, &MemoryShare::unbounded()).expect_err("no boxes");
        assert_eq!(error.to_string(), "crop action cannot find bbox object for uri a.jpg");
        for (parameters, expected) in [
            (json!({"padding_ratio": -0.1}), "expected 0 to 1000, found -0.1 (action.parameters.padding_ratio)"),
            (json!({"padding_ratio": "wide"}), "(action.parameters.padding_ratio)"),
            (json!({"fixed_width": -1}), "expected 0 to 65536 pixels, found -1 (action.parameters.fixed_width)"),
            (json!({"min_height": 70000}), "found 70000 (action.parameters.min_height)"),
        ] {
            let error = prepared(&Crop, &parameters).err().expect("refused");
            assert!(error.contains(expected), "{parameters}: {error}");
        }
    }

    #[test]
    fn crops_count() {
        let kept = numbered(200, 200, 3);
        let boxes = vec![found("a", Some([0.0, 0.0, 200.0, 200.0])); 9];
        let items = [Seen { uri: "x", kept: Some(&kept), found: &boxes }];
        let action = prepared(&Crop, &json!({})).expect("good parameters");
        let memory = dede_model::request_memory::RequestMemory::new(1 << 20);
        assert!(action.apply(&items, &memory.share()).is_err(), "nine of 120000 bytes are more than a million");
    }
}

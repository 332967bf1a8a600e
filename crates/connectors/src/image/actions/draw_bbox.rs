//! `draw_bbox`: draws the boxes that were found, and their names, on images.
//!
//! It must not know what found the boxes, nor what reads the images.

use dede_model::action::{Action, Effect, Found, Made, PreparedAction, Seen, Yield};
use dede_model::error::Result;
use dede_model::parameters::Section;
use dede_model::parameters::keys::{Key, KeyTable, Moment};
use dede_model::request_memory::MemoryShare;
use serde::Deserialize;

use super::paint::{Canvas, Colour, WHITE};
use super::{bad, corners, made, parsed, picture, text};

/// The action named `draw_bbox`.
#[derive(Debug, Clone, Copy, Default)]
pub struct DrawBbox;

/// Thickest lines, pixels.
const THICKEST: i64 = 32;
/// Pixels of each dot of a letter.
const DOT: i64 = 2;
/// From a box to its name, pixels.
const GAP: i64 = 5;

/// Colours of classes.
const PALETTE: [Colour; 8] = [
    [214, 39, 40],
    [31, 119, 180],
    [44, 160, 44],
    [148, 103, 189],
    [255, 127, 14],
    [23, 160, 178],
    [199, 21, 133],
    [120, 94, 20],
];

/// Why no picture is written to files.
const NO_FILES: &str = "pictures are handed on in memory or answered (output_images), and written nowhere";

const KEYS: [Key; 6] = [
    Key::applied("thickness", Moment::Each),
    Key::applied("write_cat", Moment::Each),
    Key::applied("write_prob", Moment::Each),
    Key::applied("output_images", Moment::Each),
    Key::not_yet("save_img").because(NO_FILES),
    Key::not_yet("save_path").because(NO_FILES),
];

impl Action for DrawBbox {
    fn name(&self) -> &'static str {
        "draw_bbox"
    }

    fn keys(&self) -> KeyTable {
        KeyTable(&[&KEYS])
    }

    fn prepare(&self, parameters: &Section) -> Result<Box<dyn PreparedAction>> {
        let written: Written = parsed(parameters)?;
        let thickness = written.thickness.unwrap_or(2);
        if !(1..=THICKEST).contains(&thickness) {
            return Err(bad("thickness", format!("expected 1 to {THICKEST} pixels, found {thickness}")));
        }
        Ok(Box::new(Drawing {
            thickness,
            writes_class: written.write_cat.unwrap_or(true),
            writes_score: written.write_prob.unwrap_or(false),
            is_shown: written.output_images.unwrap_or(false),
        }))
    }
}

#[derive(Debug, Default, Deserialize)]
struct Written {
    thickness: Option<i64>,
    write_cat: Option<bool>,
    write_prob: Option<bool>,
    output_images: Option<bool>,
}

#[derive(Debug, Clone, Copy)]
struct Drawing {
    thickness: i64,
    writes_class: bool,
    writes_score: bool,
    is_shown: bool,
}

impl PreparedAction for Drawing {
    fn yields(&self) -> Yield {
        Yield::PerItem { is_shown: self.is_shown }
    }

    fn apply(&self, items: &[Seen<'_>], memory: &MemoryShare) -> Result<Effect> {
        let mut drawn = Vec::with_capacity(items.len());
        for (item, seen) in items.iter().enumerate() {
            let kept = picture(seen)?;
            let (width, height, channels) = (kept.picture.width(), kept.picture.height(), kept.picture.channels());
            memory.grow(kept.picture.bytes())?;
            let mut canvas = Canvas::new(width, height, channels, kept.picture.pixels().to_vec());
            for (class, found) in seen.found.iter().enumerate() {
                let corners = kept.in_picture(corners(seen, class, "draw")?);
                // A float beyond all integers becomes the last of them, and what is beyond the picture is cut off.
                self.draw(&mut canvas, corners.map(|at| at.clamp(-1e9, 1e9) as i64), found);
            }
            drawn.push(Made { item, class: None, picture: made(width, height, channels, canvas.into_pixels())? });
        }
        Ok(Effect::Made(drawn))
    }
}

impl Drawing {
    fn draw(self, on: &mut Canvas, [left, top, right, bottom]: [i64; 4], found: &Found) {
        let colour = colour_of(&found.class);
        on.outline((left, top), (right, bottom), self.thickness + 2, WHITE);
        on.outline((left, top), (right, bottom), self.thickness, colour);
        let label = self.label(found);
        let lowest = on.height() - text::height(DOT) - GAP;
        let at = ((left + GAP).min(on.width() - 15), (bottom + GAP).min(lowest));
        text::write(on, &label, at, DOT, colour);
    }

    /// What is written to a box.
    fn label(self, found: &Found) -> String {
        match (self.writes_class, self.writes_score) {
            (false, false) => String::new(),
            (true, false) => found.class.clone(),
            (false, true) => format!("{:.6}", found.score),
            (true, true) => format!("{} - {:.6}", found.class, found.score),
        }
    }
}

/// The colour of a class: always the same for the same name (FNV-1a, 32 bits).
fn colour_of(class: &str) -> Colour {
    let hash = class.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    PALETTE[hash as usize % PALETTE.len()]
}

#[cfg(test)]
mod tests {
    use dede_model::data::ImageSizes;
    use dede_model::picture::{KeptPicture, Picture};
    use serde_json::{Value, json};

    use super::super::tests::{found, numbered, prepared};
    use super::*;

    /// Black, half as large as the image that came.
    fn black(width: usize, height: usize) -> KeptPicture {
        let picture = Picture::new(width, height, 3, vec![0; width * height * 3]).expect("it fits");
        let (original_width, original_height) = (2 * width, 2 * height);
        KeptPicture { picture, sizes: ImageSizes { width, height, original_width, original_height, frame: None } }
    }

    fn drawn(parameters: &Value, kept: &KeptPicture, boxes: &[Found]) -> Picture {
        let action = prepared(&DrawBbox, parameters).expect("good parameters");
        let items = [Seen { uri: "x", kept: Some(kept), found: boxes }];
        let Ok(Effect::Made(mut made)) = action.apply(&items, &MemoryShare::unbounded()) else { panic!("a picture") };
        made.remove(0).picture
    }

    fn pixel(picture: &Picture, x: usize, y: usize) -> &[u8] {
        &picture.row(y)[3 * x..3 * x + 3]
    }

    #[test]
    fn edges_have_the_colour_of_their_class_and_a_white_border() {
        let kept = black(60, 40);
        let boxes = [found("dog", Some([20.0, 10.0, 100.0, 50.0]))];
        let picture = drawn(&json!({"thickness": 1, "write_cat": false}), &kept, &boxes);
        let colour = colour_of("dog");
        for (x, y, expected) in [
            (10, 5, &colour[..]),
            (50, 25, &colour[..]),
            (30, 5, &colour[..]),
            (30, 4, &WHITE[..]),
            (30, 6, &WHITE[..]),
            (30, 8, &[0, 0, 0][..]),
            (0, 0, &[0, 0, 0][..]),
        ] {
            assert_eq!(pixel(&picture, x, y), expected, "{x} {y}");
        }
        let plain = drawn(&json!({}), &kept, &[]);
        assert_eq!(plain, kept.picture, "without boxes it stays as it is");
    }

    #[test]
    fn names_and_scores_are_written_where_that_is_asked_for() {
        let kept = black(200, 100);
        let boxes = [found("dog", Some([20.0, 10.0, 100.0, 50.0]))];
        let below = |picture: &Picture| picture.pixels()[30 * 600..].iter().filter(|value| **value != 0).count();
        let amounts: Vec<usize> = [
            json!({"write_cat": false}),
            json!({}),
            json!({"write_cat": false, "write_prob": true}),
            json!({"write_prob": true}),
        ]
        .iter()
        .map(|parameters| below(&drawn(parameters, &kept, &boxes)))
        .collect();
        assert!(amounts[0] == 0 && amounts.is_sorted_by(|one, other| one < other), "{amounts:?}");
    }

    #[test]
    fn boxes_beyond_the_edges_and_small_pictures_are_drawn_as_far_as_they_go() {
        let boxes = [found("a", Some([-1e30, -1e30, 1e30, 1e30])), found("b", Some([1.0, 1.0, 2.0, 2.0]))];
        let grey = numbered(1, 1, 1);
        assert_eq!(drawn(&json!({"write_prob": true, "thickness": 32}), &grey, &boxes).bytes(), 1);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for thickness in [0, -1, 33] {
            let error = prepared(&DrawBbox, &json!({"thickness": thickness})).err().expect("refused");
            assert_eq!(error, format!("expected 1 to 32 pixels, found {thickness} (action.parameters.thickness)"));
        }
        let action = prepared(&DrawBbox, &json!({})).expect("good parameters");
        let (kept, classes) = (numbered(2, 2, 1), [found("circle", None)]);
        let items = [Seen { uri: "a.jpg", kept: Some(&kept), found: &classes }];
        let error = action.apply(&items, &MemoryShare::unbounded()).expect_err("no boxes").to_string();
        assert_eq!(error, "draw action cannot find bbox object for uri a.jpg");
    }
}

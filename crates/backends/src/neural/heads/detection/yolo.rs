//! The forms of YOLO whose boxes are centre and size in pixels of the network's input, or become so by grids: `yolov5`, `yolov8`, `yolox`,
//! `yolox_raw` and `yolox_background`; and `yolov10`, which lists corners.
//!
//! Each anchor answers its best class, the first one of equal scores, as the predictors of these networks do. Formats: the exports of
//! ultralytics (YOLOv5, v8, v10, v11) and YOLOX (`demo_utils.demo_postprocess`: strides 8, 16, 32, largest grid first, row by row).

use dede_model::data::ImageSizes;
use dede_model::outputs::{Corners, Detection};

use super::form::{Form, best, check_score};
use crate::neural::heads::OfferedOutput;

/// Jaccard index above which the original leaves out the lower box (contract.md 5.5).
const MOST_OVERLAP: f32 = 0.45;

/// `[A, 5 + C]`: centre, size, objectness, classes.
#[derive(Debug)]
pub(super) struct Rows {
    /// Name of the form.
    pub(super) name: &'static str,
    /// Whether centre and size are still those of cells of a grid.
    pub(super) is_raw: bool,
    /// Whether `nclasses` counts a background as class 0, for which there is no column: services of the original were created so.
    pub(super) counts_background: bool,
}

impl Rows {
    /// The number of the class in the first column.
    fn first_class(&self) -> usize {
        usize::from(self.counts_background)
    }

    /// Numbers of each anchor.
    fn columns(&self, classes: usize) -> Option<usize> {
        classes.checked_sub(self.first_class())?.checked_add(5)
    }
}

/// `[4 + C, A]`: centre, size, classes.
#[derive(Debug)]
pub(super) struct Columns;

/// `[K, 6]`: corners, score, class, without boxes that overlap.
#[derive(Debug)]
pub(super) struct Listing;

fn shape_of<'a>(outputs: &[&'a OfferedOutput]) -> Option<&'a [usize]> {
    match outputs {
        [only] => only.shape.as_deref(),
        [] | [_, _, ..] => None,
    }
}

/// Corners of a box with this centre and size.
pub(super) fn around([x, y, width, height]: [f32; 4]) -> Corners {
    let (across, down) = (width / 2.0, height / 2.0);
    Corners { xmin: x - across, ymin: y - down, xmax: x + across, ymax: y + down }
}

/// The left upper corner and the stride of each cell of the grids of an image.
fn cells(image: &ImageSizes) -> impl Iterator<Item = ([f32; 2], f32)> {
    let (width, height) = (image.width, image.height);
    [8_usize, 16, 32].into_iter().flat_map(move |stride| {
        let (columns, rows) = (width / stride, height / stride);
        (0..rows).flat_map(move |row| (0..columns).map(move |column| ([column as f32, row as f32], stride as f32)))
    })
}

fn cell_count(image: &ImageSizes) -> usize {
    [8, 16, 32].map(|stride| (image.width / stride).saturating_mul(image.height / stride)).iter().sum()
}

impl Form for Rows {
    fn name(&self) -> &'static str {
        self.name
    }

    fn fits(&self, outputs: &[&OfferedOutput], classes: usize) -> bool {
        matches!(shape_of(outputs), Some([_, columns]) if Some(*columns) == self.columns(classes))
    }

    fn is_found(&self) -> bool {
        !self.counts_background
    }

    fn most_overlap(&self) -> Option<f32> {
        Some(MOST_OVERLAP)
    }

    fn most_boxes(&self, numbers: usize, classes: usize) -> usize {
        numbers / self.columns(classes).unwrap_or(usize::MAX)
    }

    fn boxes(&self, outputs: &[&[f32]], classes: usize, image: &ImageSizes) -> Result<Vec<Detection>, String> {
        let [numbers] = outputs else { return Err("expected one output".to_owned()) };
        let columns = self.columns(classes).ok_or("expected a class beside the background")?;
        let rows = numbers.chunks_exact(columns);
        if self.is_raw && rows.len() != cell_count(image) {
            let (width, height) = (image.width, image.height);
            let expected = cell_count(image);
            return Err(format!(
                "expected {expected} rows for strides 8, 16 and 32 in {width}x{height} pixels, found {}",
                rows.len()
            ));
        }
        let mut boxes = Vec::with_capacity(rows.len());
        let mut cells = cells(image);
        for row in rows {
            let [x, y, width, height, objectness, scores @ ..] = row else { continue };
            let objectness = check_score(*objectness)?;
            let (class, score) = best(scores.iter().copied())?;
            let mut place = [*x, *y, *width, *height];
            if self.is_raw {
                let Some(([column, row], stride)) = cells.next() else { continue };
                place = [(x + column) * stride, (y + row) * stride, width.exp() * stride, height.exp() * stride];
            }
            let class = class + self.first_class();
            boxes.push(Detection { class, score: score * objectness, corners: around(place) });
        }
        Ok(boxes)
    }
}

impl Form for Columns {
    fn name(&self) -> &'static str {
        "yolov8"
    }

    fn fits(&self, outputs: &[&OfferedOutput], classes: usize) -> bool {
        matches!(shape_of(outputs), Some([rows, _]) if Some(*rows) == classes.checked_add(4))
    }

    fn most_overlap(&self) -> Option<f32> {
        Some(MOST_OVERLAP)
    }

    fn most_boxes(&self, numbers: usize, classes: usize) -> usize {
        numbers / classes.saturating_add(4)
    }

    fn boxes(&self, outputs: &[&[f32]], classes: usize, _: &ImageSizes) -> Result<Vec<Detection>, String> {
        let [numbers] = outputs else { return Err("expected one output".to_owned()) };
        let anchors = numbers.len() / (classes + 4);
        if anchors == 0 {
            return Ok(Vec::new());
        }
        let rows: Vec<&[f32]> = numbers.chunks_exact(anchors).collect();
        let [x, y, width, height, scores @ ..] = rows.as_slice() else { return Err("expected 4 rows".to_owned()) };
        let detection = |anchor: usize| {
            let (class, score) = best(scores.iter().map(|row| row[anchor]))?;
            let corners = around([x[anchor], y[anchor], width[anchor], height[anchor]]);
            Ok(Detection { class, score, corners })
        };
        (0..anchors).map(detection).collect()
    }
}

impl Form for Listing {
    fn name(&self) -> &'static str {
        "yolov10"
    }

    fn fits(&self, outputs: &[&OfferedOutput], _: usize) -> bool {
        matches!(shape_of(outputs), Some([_, 6]))
    }

    fn most_overlap(&self) -> Option<f32> {
        None
    }

    fn most_boxes(&self, numbers: usize, _: usize) -> usize {
        numbers / 6
    }

    fn boxes(&self, outputs: &[&[f32]], classes: usize, _: &ImageSizes) -> Result<Vec<Detection>, String> {
        let [numbers] = outputs else { return Err("expected one output".to_owned()) };
        let detection = |&[xmin, ymin, xmax, ymax, score, class]: &[f32; 6]| {
            let (class, score) = (class_of(class, classes)?, check_score(score)?);
            Ok(Detection { class, score, corners: Corners { xmin, ymin, xmax, ymax } })
        };
        numbers.as_chunks::<6>().0.iter().map(detection).collect()
    }
}

/// The class that a number says.
pub(super) fn class_of(number: f32, classes: usize) -> Result<usize, String> {
    if number.fract() == 0.0 && (0.0..classes as f32).contains(&number) {
        return Ok(number as usize);
    }
    Err(format!("expected classes from 0 to {}, found {number}", classes - 1))
}

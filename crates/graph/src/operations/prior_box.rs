//! The boxes that a detector's offsets refer to (`prior_box_layer.cpp` of SSD's Caffe). It owns their arithmetic, with Caffe's
//! roundings: sizes are cut off to whole pixels.

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, Operation, image, input};
use crate::fields::{message, read, reads};
use crate::operators::Emitter;
use crate::prototext::Message;
use crate::shape::Shape;

/// Most sizes or ratios of a layer; networks have up to ten.
const MOST_SIZES: usize = 256;
/// Ratios that differ by less are one.
const SAME_RATIO: f32 = 1e-6;

/// Boxes around every place of a feature map, `[2, 4 * boxes]`: corners `left, top, right, bottom` as shares of the image, then as
/// many variances. Inputs: the feature map, and the image; their extents count, their values do not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PriorBox {
    /// Extents of the small square of each size, pixels.
    pub min_sizes: Vec<f32>,
    /// None, or for each of them a greater extent: a square of the geometric mean of both follows.
    pub max_sizes: Vec<f32>,
    /// Ratios of width and height besides 1, each of which makes a box of every small extent.
    pub ratios: Vec<f32>,
    /// Whether corners are cut off to the image.
    pub clip: bool,
    /// The variances of the four numbers of a box.
    pub variances: [f32; 4],
    /// Height and width of the image, pixels.
    pub image: [usize; 2],
    /// Distance of the places, rows and columns, pixels; none where the feature map divides the image.
    pub step: Option<[f32; 2]>,
    /// Where in its cell a place is, in shares of the distance.
    pub offset: f32,
}

/// How Caffe writes it.
pub(super) const CAFFE: &[CaffeType] = &[CaffeType {
    names: &["PriorBox"],
    parameters: Some(message(
        "prior_box_param",
        &[
            reads("min_size"),
            reads("max_size"),
            reads("aspect_ratio"),
            read("flip"),
            read("clip"),
            reads("variance"),
            read("img_size"),
            read("img_h"),
            read("img_w"),
            read("step"),
            read("step_h"),
            read("step_w"),
            read("offset"),
        ],
    )),
    read: |text, inputs| prior_box(text.message("prior_box_param"), inputs),
}];

fn prior_box(param: &Message, inputs: &[&Shape]) -> Result<Operation, String> {
    let (_, height, width) = image(input(inputs, 1)?)?;
    let given = of_both(param, "img_size", ["img_h", "img_w"])?;
    let variances = match param.numbers::<f32>("variance")?.as_slice() {
        [] => [0.1; 4],
        &[one] => [one; 4],
        &[left, top, right, bottom] => [left, top, right, bottom],
        other => return Err(format!("variance should be there once or four times, found {}", other.len())),
    };
    let prior_box = PriorBox {
        min_sizes: param.numbers("min_size")?,
        max_sizes: param.numbers("max_size")?,
        ratios: ratios(param)?,
        clip: param.number("clip")?.unwrap_or(false),
        variances,
        image: given.unwrap_or([height, width]),
        step: of_both(param, "step", ["step_h", "step_w"])?,
        offset: param.number("offset")?.unwrap_or(0.5),
    };
    Ok(prior_box.into())
}

/// A number for rows and columns, or one for each.
fn of_both<T: crate::prototext::Number + Copy>(
    param: &Message,
    both: &str,
    [rows, columns]: [&str; 2],
) -> Result<Option<[T; 2]>, String> {
    match (param.number::<T>(both)?, param.number::<T>(rows)?, param.number::<T>(columns)?) {
        (None, None, None) => Ok(None),
        (Some(one), None, None) => Ok(Some([one; 2])),
        (None, Some(height), Some(width)) => Ok(Some([height, width])),
        (Some(_), _, _) => Err(format!("{both} stands beside {rows} or {columns}, expected one way of saying it")),
        (None, _, _) => Err(format!("{rows} and {columns} should both be given")),
    }
}

/// The ratios besides 1, each followed by its reciprocal where `flip` is true. One that is there already is left out, a reciprocal
/// is not.
fn ratios(param: &Message) -> Result<Vec<f32>, String> {
    let (given, flip) = (param.numbers::<f32>("aspect_ratio")?, param.number("flip")?.unwrap_or(true));
    if given.len() > MOST_SIZES {
        return Err(format!("aspect_ratio should be there at most {MOST_SIZES} times, found {}", given.len()));
    }
    let mut found = vec![1.0f32];
    for ratio in given {
        if found.iter().any(|found| (found - ratio).abs() < SAME_RATIO) {
            continue;
        }
        found.push(ratio);
        if flip {
            found.push(1.0 / ratio);
        }
    }
    found.remove(0);
    Ok(found)
}

impl PriorBox {
    /// Boxes of each place.
    fn boxes_of_a_place(&self) -> usize {
        self.min_sizes.len() * (1 + self.ratios.len()) + self.max_sizes.len()
    }

    fn check(&self) -> Result<(), String> {
        let Self { min_sizes, max_sizes, .. } = self;
        // Larger ones have no meaning in pixels, and their products would overflow Caffe's whole numbers.
        let is_size = |size: &f32| (1.0..=32_767.0).contains(size);
        if min_sizes.is_empty() || min_sizes.len() > MOST_SIZES || !min_sizes.iter().chain(max_sizes).all(is_size) {
            return Err(format!(
                "min_size should be there up to {MOST_SIZES} times, it and max_size from 1 to 32767, found {min_sizes:?} and \
                 {max_sizes:?}"
            ));
        }
        if !max_sizes.is_empty()
            && (max_sizes.len() != min_sizes.len() || min_sizes.iter().zip(max_sizes).any(|(min, max)| max <= min))
        {
            return Err(format!("max_size should be above min_size for each, found {max_sizes:?} and {min_sizes:?}"));
        }
        if let Some(ratio) = self.ratios.iter().find(|ratio| !(1e-4..=1e4).contains(*ratio)) {
            return Err(format!("aspect_ratio should be from 0.0001 to 10000, found {ratio}"));
        }
        let steps = self.step.iter().flatten();
        if let Some(number) = self.variances.iter().chain(steps).find(|&&number| number.is_nan() || number <= 0.0) {
            return Err(format!("variance and step should be above 0, found {number}"));
        }
        if self.image.contains(&0) || !self.offset.is_finite() {
            return Err(format!("img_size should be above 0, found {:?}", self.image));
        }
        Ok(())
    }

    /// The boxes of a feature map of `[height, width]`: all corners, then all variances.
    ///
    /// # Errors
    /// Says which number is out of bounds, or that there are too many boxes.
    pub fn boxes(&self, [height, width]: [usize; 2]) -> Result<Vec<f32>, String> {
        self.check()?;
        let count = Shape::new([2, 4, height, width, self.boxes_of_a_place()]).elements()?;
        let [image_height, image_width] = self.image.map(|extent| extent as f64);
        let [step_height, step_width] =
            self.step.unwrap_or_else(|| [self.image[0] as f32 / height as f32, self.image[1] as f32 / width as f32]);
        let mut boxes = Vec::with_capacity(count);
        let extents = self.extents();
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
            let x = f64::from((column as f32 + self.offset) * step_width);
            let y = f64::from((row as f32 + self.offset) * step_height);
            for &[wide, tall] in &extents {
                let [right, down] = [wide, tall].map(|extent| f64::from(extent) / 2.0);
                let corners = [
                    (x - right) / image_width,
                    (y - down) / image_height,
                    (x + right) / image_width,
                    (y + down) / image_height,
                ];
                let kept = |corner: f64| if self.clip { (corner as f32).clamp(0.0, 1.0) } else { corner as f32 };
                boxes.extend(corners.map(kept));
            }
        }
        let corners = boxes.len();
        boxes.extend(self.variances.iter().cycle().take(corners));
        Ok(boxes)
    }

    /// Width and height of each box of a place, pixels.
    fn extents(&self) -> Vec<[f32; 2]> {
        let mut extents = Vec::new();
        for (index, size) in self.min_sizes.iter().map(|size| size.trunc()).enumerate() {
            extents.push([size; 2]);
            if let Some(max) = self.max_sizes.get(index) {
                extents.push([(f64::from(size) * f64::from(max.trunc())).sqrt() as f32; 2]);
            }
            let of_ratio = |ratio: &f32| [size * ratio.sqrt(), size / ratio.sqrt()];
            extents.extend(self.ratios.iter().map(of_ratio));
        }
        extents
    }
}

impl Definition for PriorBox {
    fn kind(&self) -> &'static str {
        "PriorBox"
    }

    fn arity(&self) -> (usize, usize) {
        (2, 1)
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        self.check()?;
        let (_, height, width) = image(input(inputs, 0)?)?;
        let shape = Shape::new([4, height, width, self.boxes_of_a_place()]);
        Ok(vec![Shape::new([2, shape.elements()?])])
    }

    fn emit(&self, _: &mut Emitter<'_>) -> Result<(), String> {
        Err("its boxes are no part of what an engine computes: they are used where detections are decoded".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text of `prior_box_param`, extents of the feature map and of the image, and the boxes that OpenCV's importer of Caffe
    /// computes for it; the table is made by `prior_boxes.py`.
    const CASES: &str = include_str!("prior_boxes.txt");

    fn numbers<T: std::str::FromStr>(text: &str) -> Vec<T> {
        text.split(' ').filter_map(|word| word.parse().ok()).collect()
    }

    fn parsed(param: &str, feature: &[usize], image: &[usize]) -> Result<Operation, String> {
        let text = Message::parse(&format!("prior_box_param {{ {param} }}")).unwrap();
        let shapes = [feature, image].map(|dims| Shape::image(1, dims[0], dims[1]));
        (CAFFE[0].read)(&text, &[&shapes[0], &shapes[1]])
    }

    #[test]
    fn boxes_are_those_of_opencv() {
        let lines: Vec<&str> = CASES.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() >= 4 * 6, "{}", lines.len());
        for case in lines.chunks(4) {
            let (feature, image, expected) = (numbers(case[1]), numbers(case[2]), numbers::<f32>(case[3]));
            let Ok(Operation::PriorBox(layer)) = parsed(case[0], &feature, &image) else { panic!("{}", case[0]) };
            let found = layer.boxes([feature[0], feature[1]]).unwrap();
            assert_eq!(found.len(), expected.len(), "{}", case[0]);
            for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert!((found - expected).abs() < 1e-6, "{}, {index}: {found}, expected {expected}", case[0]);
            }
        }
    }

    #[test]
    fn sizes_are_whole_pixels_as_in_caffe() {
        let boxes = |param: &str| match parsed(param, &[1, 1], &[8, 8]) {
            Ok(Operation::PriorBox(layer)) => layer.boxes([1, 1]).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(boxes("min_size: 4.9 max_size: 5.9"), boxes("min_size: 4 max_size: 5"));
        // Of several sizes each has its boxes in turn.
        let [corners, _] = [0, 1].map(|half| {
            boxes("min_size: [2, 4] max_size: [3, 9] aspect_ratio: 4 flip: false")[half * 24..][..24].to_vec()
        });
        let widths: Vec<f32> = corners.chunks(4).map(|corners| (corners[2] - corners[0]) * 8.0).collect();
        for (found, expected) in widths.iter().zip([2.0, 6f32.sqrt(), 4.0, 4.0, 6.0, 8.0]) {
            assert!((found - expected).abs() < 1e-5, "{widths:?}");
        }
        // The image's extents may be given.
        assert_eq!(boxes("min_size: 4 img_size: 8"), boxes("min_size: 4"));
        assert_ne!(boxes("min_size: 4 img_h: 8 img_w: 16"), boxes("min_size: 4"));
    }

    #[test]
    fn what_makes_no_boxes_is_refused() {
        let cases = [
            ("", "min_size should be there"),
            ("min_size: -1", "min_size should be there"),
            ("min_size: 4e9", "from 1 to 32767"),
            ("min_size: 4 max_size: 4", "max_size should be above min_size"),
            ("min_size: 4 max_size: 5 max_size: 6", "max_size should be above min_size"),
            ("min_size: 4 aspect_ratio: 0", "aspect_ratio should be"),
            ("min_size: 4 aspect_ratio: -2", "aspect_ratio should be"),
            ("min_size: 4 variance: [1, 2]", "variance should be there once or four times"),
            ("min_size: 4 variance: 0", "variance and step should be above 0"),
            ("min_size: 4 step: -1", "variance and step should be above 0"),
            ("min_size: 4 step: 1 step_h: 1", "step stands beside step_h or step_w"),
            ("min_size: 4 step_h: 1", "step_h and step_w should both be given"),
            ("min_size: 4 img_size: 0", "img_size should be above 0"),
        ];
        for (param, expected) in cases {
            let found = parsed(param, &[1, 1], &[8, 8]).and_then(|operation| {
                let shape = Shape::image(1, 8, 8);
                operation.definition().output_shapes(&[&shape, &shape])
            });
            assert!(found.as_ref().is_err_and(|error| error.contains(expected)), "{param}: {found:?}");
        }
        let Ok(Operation::PriorBox(layer)) = parsed("min_size: 4", &[1, 1], &[8, 8]) else { panic!("a layer") };
        assert!(layer.boxes([1 << 20, 1 << 20]).is_err());
    }
}

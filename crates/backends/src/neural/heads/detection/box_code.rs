//! What the numbers that a detector of Caffe computes say of the boxes that it was given (`bbox_util.cpp` of SSD's Caffe).
//!
//! It owns this arithmetic, in single precision and in Caffe's order. It must not know scores nor images.

use dede_graph::detection::Decoding;
use dede_graph::operations::BoxCode;

/// Corners: left, upper, right, lower, in shares of the image; they may lie outside of it.
pub(super) type Shares = [f32; 4];

/// The box of a place and class.
///
/// `offsets` has four numbers for each place, or for each class of each place; `first` has those of the first of two steps, four for each
/// place, and none where there is one step. Numbers that are not there count as 0: which there have to be is checked before.
pub(super) fn box_of(decoding: &Decoding, offsets: &[f32], first: &[f32], place: usize, class: usize) -> Shares {
    let Decoding { options, priors, variances, .. } = decoding;
    let four = |numbers: &[f32], at: usize| numbers.as_chunks::<4>().0.get(at).copied().unwrap_or_default();
    let by = match options.variance_in_offsets {
        true => [1.0; 4],
        false => variances.get(place).copied().unwrap_or_default(),
    };
    let prior = priors.get(place).copied().unwrap_or_default();
    let prior = match options.refinement {
        Some(_) => moved(prior, options.code, by, four(first, place)),
        None => prior,
    };
    let at = if options.share_location { place } else { place * options.classes + class };
    moved(prior, options.code, by, four(offsets, at))
}

/// A box moved by an offset whose numbers are multiplied by these variances.
fn moved(prior: Shares, code: BoxCode, variances: [f32; 4], offset: [f32; 4]) -> Shares {
    let [left, upper, right, lower] = prior;
    let (width, height) = (right - left, lower - upper);
    let by: [f32; 4] = std::array::from_fn(|number| variances[number] * offset[number]);
    match code {
        BoxCode::Corner => std::array::from_fn(|corner| prior[corner] + by[corner]),
        BoxCode::CornerSize => {
            let extents = [width, height, width, height];
            std::array::from_fn(|corner| prior[corner] + by[corner] * extents[corner])
        }
        BoxCode::CenterSize => {
            let (x, y) = (by[0] * width + (left + right) / 2.0, by[1] * height + (upper + lower) / 2.0);
            let (across, down) = (by[2].exp() * width / 2.0, by[3].exp() * height / 2.0);
            [x - across, y - down, x + across, y + down]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_moves_a_box_by_its_own_formula() {
        // A box of 0.5 × 0.25 around (0.5, 0.5).
        let prior = [0.25, 0.375, 0.75, 0.625];
        let (variances, offset) = ([0.5, 0.5, 0.25, 0.25], [1.0, -1.0, 2.0, 4.0]);
        let (wide, high) = (0.5_f32.exp() * 0.25, 1_f32.exp() * 0.125);
        for (code, expected) in [
            (BoxCode::Corner, [0.75, -0.125, 1.25, 1.625]),
            (BoxCode::CornerSize, [0.5, 0.25, 1.0, 0.875]),
            (BoxCode::CenterSize, [0.75 - wide, 0.375 - high, 0.75 + wide, 0.375 + high]),
        ] {
            let found = moved(prior, code, variances, offset);
            let is_near = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6);
            assert!(is_near, "{code:?}: {found:?}, expected {expected:?}");
        }
    }
}

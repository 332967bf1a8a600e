//! Where the taps of an interpolation lie along one axis, and their weights.
//!
//! Positions are computed in double and kept in single precision, as OpenCV does: the last bit decides.

/// Weights are kept times this on 8 bits.
pub(super) const FIXED_ONE: f32 = 2048.0;

/// How target positions map to source positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Positions {
    /// Centre to centre.
    Centres,
    /// Edge to edge: what `area` does when it enlarges.
    Edges,
}

/// The taps of one target position.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taps<const N: usize> {
    /// Source position of the first tap; may lie outside of the source, whose border values then repeat.
    pub(super) first: isize,
    /// Weights; whole numbers when kept times [`FIXED_ONE`].
    pub(super) weights: [f32; N],
}

/// The taps of all target positions along one axis.
pub(super) fn taps<const N: usize>(
    target: usize,
    factor: f64,
    positions: Positions,
    fixed_point: bool,
    weights: impl Fn(f32) -> [f32; N],
) -> Vec<Taps<N>> {
    (0..target)
        .map(|at| {
            let (floor, fraction) = position(at, factor, positions);
            let mut weights = weights(fraction);
            if fixed_point {
                weights = weights.map(|weight| (weight * FIXED_ONE).round_ties_even());
            }
            Taps { first: floor - (N as isize / 2 - 1), weights }
        })
        .collect()
}

/// Whole part and fraction of the source position of target position `at`.
fn position(at: usize, factor: f64, positions: Positions) -> (isize, f32) {
    let step = 1.0 / factor;
    match positions {
        Positions::Centres => {
            let exact = ((at as f64 + 0.5) * step - 0.5) as f32;
            let floor = exact.floor();
            (floor as isize, exact - floor)
        }
        Positions::Edges => {
            let floor = (at as f64 * step).floor();
            let fraction = ((at as f64 + 1.0) - (floor + 1.0) * factor) as f32;
            (floor as isize, if fraction <= 0.0 { 0.0 } else { fraction - fraction.floor() })
        }
    }
}

/// Beyond its first and last column, linear interpolation along a row takes the border value whole; rows do not
/// need this.
pub(super) fn clamp_linear(taps: &mut [Taps<2>], source: usize, one: f32) {
    let last = source as isize - 1;
    for tap in taps {
        if tap.first < 0 || tap.first >= last {
            *tap = Taps { first: tap.first.clamp(0, last), weights: [one, 0.0] };
        }
    }
}

//! Which size an image gets: the rules on `width`, `height`, `scaled` and `aspect_ratio_pad` (contract.md 3.2).
//!
//! It must not touch pixels.

use dede_model::parameters::Section;

use super::resize::Scaling;

/// The size asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Both sides given.
    Fixed { width: usize, height: usize },
    /// One side negative: the larger side of the image becomes `length` and the ratio is kept; `pad` fills up to a
    /// square.
    LongerSide { length: usize, pad: bool },
    /// Both sides negative.
    Original,
    /// `scaled`: the shorter side becomes `min`, unless the longer one would exceed `max`.
    Scaled { min: usize, max: usize },
}

impl Target {
    /// The final size, where it does not depend on the image.
    pub(super) fn size(self) -> Option<(usize, usize)> {
        match self {
            Self::Fixed { width, height } => Some((width, height)),
            Self::LongerSide { length, pad: true } => Some((length, length)),
            Self::LongerSide { pad: false, .. } | Self::Original | Self::Scaled { .. } => None,
        }
    }

    /// How an image of this size is resized, before padding.
    pub(super) fn scaling(self, source: (usize, usize)) -> Scaling {
        let (shorter, longer) = (source.0.min(source.1) as f64, source.0.max(source.1) as f64);
        match self {
            Self::Fixed { width, height } => Scaling::to_size(source, width, height),
            Self::LongerSide { length, .. } => Scaling::by_factor(source, length as f64 / longer),
            Self::Original => Scaling::to_size(source, source.0, source.1),
            Self::Scaled { min, max } => Scaling::by_factor(source, (max as f64 / longer).min(min as f64 / shorter)),
        }
    }

    /// The side of the square to pad to.
    pub(super) fn square(self) -> Option<usize> {
        match self {
            Self::LongerSide { length, pad: true } => Some(length),
            Self::LongerSide { pad: false, .. } | Self::Fixed { .. } | Self::Original | Self::Scaled { .. } => None,
        }
    }

    /// As parameters.
    pub(super) fn write_to(self, section: &mut Section) {
        let mut put = |key: &str, value: i64| section.insert(key.to_owned(), value.into());
        let whole = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
        match self {
            Self::Fixed { width, height } => {
                put("width", whole(width));
                put("height", whole(height));
            }
            Self::LongerSide { length, pad } => {
                put("width", whole(length));
                put("height", -1);
                section.insert("aspect_ratio_pad".to_owned(), pad.into());
            }
            Self::Original => {
                put("width", -1);
                put("height", -1);
            }
            Self::Scaled { min, max } => {
                put("scale_min", whole(min));
                put("scale_max", whole(max));
                section.insert("scaled".to_owned(), true.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_contract() {
        let cases = [
            (Target::Fixed { width: 3, height: 9 }, (500, 375), (3, 9)),
            (Target::Original, (500, 375), (500, 375)),
            (Target::LongerSide { length: 250, pad: false }, (500, 375), (250, 188)),
            (Target::LongerSide { length: 250, pad: false }, (375, 500), (188, 250)),
            (Target::LongerSide { length: 10, pad: false }, (1000, 10), (10, 0)),
            (Target::Scaled { min: 600, max: 1000 }, (500, 375), (800, 600)),
            (Target::Scaled { min: 600, max: 1000 }, (2000, 500), (1000, 250)),
        ];
        for (target, source, expected) in cases {
            let scaling = target.scaling(source);
            assert_eq!((scaling.width, scaling.height), expected, "{target:?} of {source:?}");
        }
    }
}

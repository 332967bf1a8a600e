//! Which pieces of a softmax a value is, that lie in several graphs or take the logarithm of a sum on the way.
//!
//! It must not know how that is found out.

/// Which pieces of a softmax a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Pieces {
    /// It may be a sum of numbers, or 1 over it.
    pub(super) is_sum: bool,
    /// A logarithm is among what was added up in it, or taken away.
    pub(super) has_logarithm: bool,
}

impl Pieces {
    /// None.
    pub(super) const NONE: Self = Self { is_sum: false, has_logarithm: false };

    /// Of a value that is one or the other.
    pub(super) fn or(self, other: Self) -> Self {
        Self { is_sum: self.is_sum || other.is_sum, has_logarithm: self.has_logarithm || other.has_logarithm }
    }
}

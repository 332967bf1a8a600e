//! Small lists of counts with axes, and what moves their numbers to other places.
//!
//! It must not know operators.

use super::numbers::Count;
use super::producers::MOST_AXES;

/// Counts in the order of their axes, the last one running fastest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List {
    /// Extents.
    pub(super) dims: Vec<usize>,
    /// As many as there are places.
    pub(super) counts: Vec<Count>,
}

impl List {
    /// `None` where there are not as many counts as places, or more than extents or axes have.
    pub(super) fn new(dims: Vec<usize>, counts: Vec<Count>) -> Option<Self> {
        let places = dims.iter().try_fold(1usize, |all, &dim| all.checked_mul(dim))?;
        (places == counts.len() && places <= MOST_AXES && dims.len() <= MOST_AXES).then_some(Self { dims, counts })
    }

    /// Of one axis.
    pub(super) fn row(counts: Vec<Count>) -> Option<Self> {
        Self::new(vec![counts.len()], counts)
    }

    /// One without axes.
    pub(super) fn single(count: Count) -> Self {
        Self { dims: vec![], counts: vec![count] }
    }

    /// All of its counts, where each is a number that is known.
    pub(super) fn known(&self) -> Option<Vec<i64>> {
        self.counts.iter().map(|count| count.known()).collect()
    }

    /// The same counts in other axes: 0 for the extent that was there, -1 for what is left.
    pub(super) fn reshaped(&self, shape: &[i64], keeps_zeros: bool) -> Option<Self> {
        let extent = |(place, &extent): (usize, &i64)| match extent {
            0 if !keeps_zeros => self.dims.get(place).copied(),
            -1 => Some(1),
            extent => usize::try_from(extent).ok(),
        };
        let mut dims = shape.iter().enumerate().map(extent).collect::<Option<Vec<usize>>>()?;
        if let Some(free) = shape.iter().position(|&extent| extent == -1) {
            let others = dims.iter().try_fold(1usize, |all, &dim| all.checked_mul(dim))?;
            dims[free] = self.counts.len().checked_div(others)?;
        }
        Self::new(dims, self.counts.clone())
    }

    /// Those at these places of each axis.
    pub(super) fn selected(&self, places: &[Vec<usize>]) -> Option<Self> {
        let dims: Vec<usize> = places.iter().map(Vec::len).collect();
        let at = |indices: &[usize]| {
            let own: Option<Vec<usize>> =
                indices.iter().zip(places).map(|(&index, places)| places.get(index).copied()).collect();
            self.at(&own?)
        };
        if places.len() != self.dims.len() { None } else { Self::filled(dims, at) }
    }

    /// With another order of the axes.
    pub(super) fn transposed(&self, order: &[usize]) -> Option<Self> {
        let dims = order.iter().map(|&axis| self.dims.get(axis).copied()).collect::<Option<Vec<usize>>>()?;
        let at = |indices: &[usize]| {
            let mut own = vec![0; self.dims.len()];
            order.iter().zip(indices).try_for_each(|(&axis, &index)| own.get_mut(axis).map(|own| *own = index))?;
            self.at(&own)
        };
        Self::filled(dims, at)
    }

    /// Several behind each other along an axis.
    pub(super) fn joined(parts: &[Self], axis: usize) -> Option<Self> {
        let mut dims = parts.first()?.dims.clone();
        let extent = dims.get_mut(axis)?;
        *extent = parts.iter().map(|part| part.dims.get(axis).copied()).sum::<Option<usize>>()?;
        let at = |indices: &[usize]| {
            let mut own = indices.to_vec();
            for part in parts {
                match own[axis].checked_sub(*part.dims.get(axis)?) {
                    None => return part.at(&own),
                    Some(left) => own[axis] = left,
                }
            }
            None
        };
        Self::filled(dims, at)
    }

    /// Pair by pair, where both have the same axes or one is a single count.
    pub(super) fn paired(&self, other: &Self, pair: impl Fn(Count, Count) -> Count) -> Option<Self> {
        let dims = match (self.counts.as_slice(), other.counts.as_slice()) {
            _ if self.dims == other.dims => &self.dims,
            ([_], [_]) => {
                if self.dims.len() < other.dims.len() {
                    &other.dims
                } else {
                    &self.dims
                }
            }
            ([_], _) if self.dims.len() <= other.dims.len() => &other.dims,
            (_, [_]) if other.dims.len() <= self.dims.len() => &self.dims,
            _ => return None,
        };
        let places = self.counts.len().max(other.counts.len());
        let at = |list: &Self, place: usize| list.counts.get(if list.counts.len() == 1 { 0 } else { place }).copied();
        let counts = (0..places).map(|place| Some(pair(at(self, place)?, at(other, place)?))).collect::<Option<_>>()?;
        Self::new(dims.clone(), counts)
    }

    fn at(&self, indices: &[usize]) -> Option<Count> {
        let place = self.dims.iter().zip(indices).try_fold(0usize, |place, (&dim, &index)| {
            (index < dim).then_some(())?;
            place.checked_mul(dim)?.checked_add(index)
        })?;
        self.counts.get(place).copied()
    }

    fn filled(dims: Vec<usize>, at: impl Fn(&[usize]) -> Option<Count>) -> Option<Self> {
        let places = dims.iter().try_fold(1usize, |all, &dim| all.checked_mul(dim))?;
        if places > MOST_AXES || dims.len() > MOST_AXES {
            return None;
        }
        let counts = (0..places).map(|place| {
            let mut left = place;
            let mut indices = vec![0; dims.len()];
            for (index, &dim) in indices.iter_mut().zip(&dims).rev() {
                (*index, left) = (left % dim, left / dim);
            }
            at(&indices)
        });
        let counts = counts.collect::<Option<Vec<Count>>>()?;
        Self::new(dims, counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(dims: &[usize], numbers: &[i64]) -> List {
        List::new(dims.to_vec(), numbers.iter().copied().map(Count::Known).collect()).expect("fits")
    }

    #[test]
    fn numbers_are_found_where_they_were_moved_to() {
        let square = list(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        assert_eq!(square.transposed(&[1, 0]), Some(list(&[3, 2], &[1, 4, 2, 5, 3, 6])));
        assert_eq!(square.selected(&[vec![1, 0], vec![2]]), Some(list(&[2, 1], &[6, 3])));
        assert_eq!(square.reshaped(&[-1], false), Some(list(&[6], &[1, 2, 3, 4, 5, 6])));
        assert_eq!(square.reshaped(&[0, -1, 1], false), Some(list(&[2, 3, 1], &[1, 2, 3, 4, 5, 6])));
        assert_eq!(square.reshaped(&[4, -1], false), None);
        let below = list(&[1, 3], &[7, 8, 9]);
        assert_eq!(
            List::joined(&[square.clone(), below.clone()], 0),
            Some(list(&[3, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9]))
        );
        assert_eq!(List::joined(&[square.clone(), below], 1), None, "of other lengths");
        assert_eq!(square.paired(&list(&[], &[1]), |one, _| one), Some(square.clone()));
        assert_eq!(square.paired(&list(&[3], &[1, 2, 3]), |one, _| one), None);
    }

    #[test]
    fn what_is_too_much_is_none() {
        let one = list(&[1], &[1]);
        assert_eq!(one.selected(&[vec![0; 100]]), None);
        assert_eq!(one.reshaped(&[i64::MAX, i64::MAX], false), None);
        assert_eq!(one.reshaped(&[1; 100], false), None);
        assert_eq!(one.transposed(&[usize::MAX]), None);
        assert_eq!(List::joined(&[], 0), None);
        assert_eq!(List::new(vec![2, usize::MAX], vec![]), None);
        assert_eq!(List::new(vec![3], vec![Count::Other; 2]), None, "fewer counts than places");
    }
}

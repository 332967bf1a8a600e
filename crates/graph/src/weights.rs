//! Named weights of a network. It owns their order and the agreement of shape and data; it does not know which layer wants
//! which weight (`Layer::parameters` says that).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::shape::element_count;

/// One dense weight, row major. Cloning shares the data.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    shape: Vec<usize>,
    data: Arc<[f32]>,
}

impl Weight {
    /// A weight of `shape` from its values, row major.
    ///
    /// # Errors
    /// Says so when the shape has a zero extent or another number of elements than `data`.
    pub fn new(shape: impl Into<Vec<usize>>, data: impl Into<Arc<[f32]>>) -> Result<Self, String> {
        let (shape, data) = (shape.into(), data.into());
        let expected = element_count(&shape)?;
        if expected != data.len() {
            return Err(format!("shape {shape:?} wants {expected} values, found {}", data.len()));
        }
        Ok(Self { shape, data })
    }

    /// Extents, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Values, row major.
    #[must_use]
    pub fn data(&self) -> &Arc<[f32]> {
        &self.data
    }

    /// The same values under another shape.
    ///
    /// # Errors
    /// As [`Weight::new`].
    pub fn reshaped(&self, shape: impl Into<Vec<usize>>) -> Result<Self, String> {
        Self::new(shape, Arc::clone(&self.data))
    }
}

/// Weights by name (`<node>.weight`, `<node>.bias`, …), ordered by name so that two writers of the same network write the
/// same bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weights(BTreeMap<String, Weight>);

impl Weights {
    /// No weights yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The weight called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Weight> {
        self.0.get(name)
    }

    /// Sets a weight; returns the one it replaces.
    pub fn insert(&mut self, name: impl Into<String>, weight: Weight) -> Option<Weight> {
        self.0.insert(name.into(), weight)
    }

    /// Takes a weight out.
    pub fn remove(&mut self, name: &str) -> Option<Weight> {
        self.0.remove(name)
    }

    /// All weights in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Weight)> {
        self.0.iter().map(|(name, weight)| (name.as_str(), weight))
    }

    /// Number of weights (tensors, not values).
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_and_data_must_agree() {
        assert!(Weight::new([2, 3], vec![0.0; 6]).is_ok());
        assert_eq!(Weight::new([2, 3], vec![0.0; 5]).unwrap_err(), "shape [2, 3] wants 6 values, found 5");
        assert!(Weight::new([0], Vec::new()).is_err());
    }

    #[test]
    fn iterates_in_order_of_names() {
        let mut weights = Weights::new();
        for name in ["b.weight", "a.weight", "a.bias"] {
            weights.insert(name, Weight::new([1], vec![0.0]).unwrap());
        }
        assert_eq!(weights.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a.bias", "a.weight", "b.weight"]);
    }
}

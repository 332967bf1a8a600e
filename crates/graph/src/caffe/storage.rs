//! What a network's text says about how a weights file stores its weights. It owns that list; [`super::weights`] reads by it.

use std::collections::{BTreeMap, BTreeSet};

/// One more blob than any layer has; further ones are not looked at.
pub(super) const MOST_BLOBS: usize = 6;

/// How the weights of a network are stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Storage {
    /// Inner products whose weight is stored `[inputs, outputs]` (`inner_product_param.transpose`). As in Caffe the network's
    /// text decides; what a weights file repeats of it is not read.
    pub(super) transposed: BTreeSet<String>,
    /// Blobs that have a name (`param.name`): those of one name are one weight in Caffe.
    pub(super) named: BTreeMap<String, Vec<SharedBlob>>,
}

/// A blob of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SharedBlob {
    /// The layer.
    pub(super) layer: String,
    /// The place of the blob in the layer, from 0.
    pub(super) index: usize,
}

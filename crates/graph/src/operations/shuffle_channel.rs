//! Channels of groups in turn (`shuffle_channel_layer.cpp` of ShuffleNet's Caffe). It owns that order.

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, extent, input, unchanged};
use crate::fields::{message, read};
use crate::operators::{Emitter, ints};
use crate::shape::Shape;

/// Output channel `j * groups + i` is channel `j` of group `i`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShuffleChannel {
    /// Number of groups; it divides the number of channels.
    pub groups: usize,
}

/// How Caffe writes it.
pub(super) const CAFFE: &[CaffeType] = &[CaffeType {
    names: &["ShuffleChannel"],
    parameters: Some(message("shuffle_channel_param", &[read("group")])),
    read: |text, _| {
        Ok(ShuffleChannel { groups: text.message("shuffle_channel_param").number("group")?.unwrap_or(1) }.into())
    },
}];

impl Definition for ShuffleChannel {
    fn kind(&self) -> &'static str {
        "ShuffleChannel"
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        let (channels, groups) = (extent(input(inputs, 0)?, 1)?, self.groups);
        match groups > 0 && channels.is_multiple_of(groups) {
            true => unchanged(inputs),
            false => Err(format!("{channels} channels cannot be divided into group: {groups}")),
        }
    }

    fn emit(&self, emit: &mut Emitter<'_>) -> Result<(), String> {
        let (x, y, dims) = (emit.x(), emit.y(), emit.dims().to_vec());
        let Some((&channels, rest)) = dims.split_first() else { return Err("it has no channels".to_owned()) };
        let rest = rest.iter().product();
        let (groups, turned) = (emit.inner("groups"), emit.inner("turned"));
        emit.reshape("group_shape", x, groups.clone(), &[self.groups, channels / self.groups.max(1), rest]);
        emit.operator("Transpose", [groups], turned.clone(), [("perm", ints(&[0, 2, 1, 3]))]);
        emit.reshape("shape", turned, y, &dims);
        Ok(())
    }
}

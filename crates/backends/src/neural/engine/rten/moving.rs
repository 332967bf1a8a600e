//! Operators that leave numbers as they are.

/// Operators that move values and compute nothing.
pub(super) const MOVING: [&str; 14] = [
    "Identity",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Concat",
    "Split",
    "Slice",
    "Gather",
    "GatherElements",
    "GatherND",
    "Expand",
    "Tile",
];

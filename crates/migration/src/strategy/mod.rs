//! From files that are there to an alias that is switched: beside the former network, or in its place.

pub(crate) mod in_place;
pub(crate) mod side_by_side;

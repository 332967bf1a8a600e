//! Model libraries: backends behind the seam of `dede_model::backend`.
//!
//! [`neural`] runs and trains neural networks. Nothing here knows requests, services or HTTP.

pub mod neural;

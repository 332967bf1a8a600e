//! Services that belong together move together: one request, one switch of all aliases, one way back; and what is refused.
//!
//! `detector` is a plain service of the target and `reader` an alias, so that one is taken over and the other pointed elsewhere.

mod endings;
mod load;
mod requests;
mod world;

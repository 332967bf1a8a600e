//! What only time and number show: nothing grows, and nothing that was acknowledged is lost.
//!
//! Small here; with `DEDE_ENDURANCE` set as long as the product promises.

mod disconnects;
mod kills;
mod watchers;

/// The second with `DEDE_ENDURANCE` set, else the first.
fn size(usually: u64, promised: u64) -> u64 {
    if std::env::var_os("DEDE_ENDURANCE").is_some() { promised } else { usually }
}

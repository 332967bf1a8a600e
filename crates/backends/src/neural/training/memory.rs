//! Whether a training fits into memory, asked before anything large is allocated: a batch or a layer that is too large is
//! an answer, not the end of the process.

use dede_graph::Graph;
use dede_model::error::{Error, Result};

use super::network::bad_network;
use super::settings::Settings;

/// Copies of each weight besides what the solver remembers: the weight, its tensor, its gradient as computed and as summed.
const COPIES_OF_WEIGHTS: u64 = 4;
/// Copies of each value of a batch: the value and its gradient.
const COPIES_OF_VALUES: u64 = 2;
const BYTES_PER_VALUE: u64 = 4;

/// Refuses a training that needs more memory than the system can give now.
///
/// # Errors
/// [`Error::BadParameter`] with both figures.
pub(super) fn check(graph: &Graph, settings: &Settings) -> Result<()> {
    let needed = needed_bytes(graph, settings)?;
    match std::fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(available_bytes) {
        Some(available) if needed > available => {
            let text = format!(
                "the training needs about {:.1} GiB of memory, {:.1} GiB are available: a smaller batch_size or smaller \
                 layers are needed",
                gibibytes(needed),
                gibibytes(available)
            );
            Err(Error::bad_parameter_at("parameters.mllib.net.batch_size", text))
        }
        // Systems that do not say are taken to have enough.
        Some(_) | None => Ok(()),
    }
}

/// A lower bound: what the arithmetic of single layers needs on top is not counted.
fn needed_bytes(graph: &Graph, settings: &Settings) -> Result<u64> {
    let weights = graph.parameter_count().map_err(bad_network)? as u64;
    let per_sample: u64 = graph
        .shapes()
        .map_err(bad_network)?
        .values()
        .filter_map(|shape| shape.elements().ok())
        .fold(0u64, |sum, elements| sum.saturating_add(elements as u64));
    let of_weights = weights.saturating_mul(COPIES_OF_WEIGHTS + settings.rule.slots() as u64);
    let of_values = per_sample.saturating_mul(settings.batch_size as u64).saturating_mul(COPIES_OF_VALUES);
    Ok(of_weights.saturating_add(of_values).saturating_mul(BYTES_PER_VALUE))
}

/// `MemAvailable` of Linux (man 5 proc_meminfo), in bytes.
fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes.saturating_mul(1024))
}

fn gibibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_as_linux_writes_it() {
        let meminfo = "MemTotal:       24602068 kB\nMemFree:         1234 kB\nMemAvailable:   22000000 kB\n";
        assert_eq!(available_bytes(meminfo), Some(22_528_000_000));
        assert_eq!(available_bytes("MemTotal: 1 kB\n"), None);
        assert_eq!(available_bytes("MemAvailable: lots kB\n"), None);
    }
}

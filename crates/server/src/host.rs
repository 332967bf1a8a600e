//! What this server computes with, as far as it decides the last bits of an answer.

use dede_backends::neural::engine::{Availability, report};
use dede_migration::HostDescription;

/// Describes this machine; `engine` is what was asked for by name.
pub(crate) fn describe(engine: Option<&str>) -> HostDescription {
    let used = report(engine).into_iter().find(|line| line.in_use);
    let engine = used.map_or_else(String::new, |line| match line.availability {
        Availability::Usable { version, .. } => format!("{} {version}", line.name),
        Availability::Unusable { .. } => line.name.to_owned(),
    });
    HostDescription {
        dede: env!("CARGO_PKG_VERSION").to_owned(),
        engine,
        architecture: std::env::consts::ARCH.to_owned(),
        cpu_features: cpu_features(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// The instruction sets that engines choose between.
#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<String> {
    let known = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
    ];
    known.into_iter().filter(|(_, there)| *there).map(|(name, _)| name.to_owned()).collect()
}

/// On other architectures engines do not choose.
#[cfg(not(target_arch = "x86_64"))]
fn cpu_features() -> Vec<String> {
    Vec::new()
}

//! What the demo prints.

use std::io::Write;
use std::time::Duration;

use super::load::{Figures, Phase};

pub(super) fn title() {
    line("A model moves from a development to a production server while clients keep calling.");
}

pub(super) fn step(number: usize, text: &str) {
    line(&format!("\n{number}  {text}"));
}

pub(super) fn fact(name: &str, text: &str) {
    line(&format!("   {name:<24}{text}"));
}

pub(super) fn table(figures: &Figures, old: f64, new: f64, took: Duration) {
    line("\n   the move          requests   failed   p50 ms   p99 ms");
    for (phase, seen) in Phase::ALL.iter().zip(&figures.phases) {
        line(&format!(
            "   {:<16}{:>10}{:>9}{:>9.2}{:>9.2}",
            phase.name(),
            seen.latencies.len() + seen.failures.len(),
            seen.failures.len(),
            seen.percentile_ms(0.5),
            seen.percentile_ms(0.99),
        ));
    }
    let sent: usize = figures.phases.iter().map(|seen| seen.latencies.len() + seen.failures.len()).sum();
    let failed: usize = figures.phases.iter().map(|seen| seen.failures.len()).sum();
    line(&format!("   {:<16}{sent:>10}{failed:>9}", "all"));
    line(&format!("\n   accuracy of what service1 answers: {:.1} % before, {:.1} % after", old * 100.0, new * 100.0));
    line(&format!("   (before: while development trains on the same machine; {:.0} s in all)", took.as_secs_f64()));
}

/// A closed pipe ends the output, not the demo.
fn line(text: &str) {
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{text}");
    let _ = output.flush();
}

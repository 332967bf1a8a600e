//! What commands about moves print: plans, and the table at the end.

use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dede_api::moves::{MoveInfo, MovePhase, MovePlan};
use serde::Serialize;
use serde_json::Value;

use super::visible;

/// One line for people on standard output; a closed pipe ends the output, not the move.
pub(super) fn say(line: &str) {
    print(&visible::line(line));
}

/// One line of JSON on standard output.
pub(super) fn say_json(value: &impl Serialize) {
    // What this program parsed, or made, can be written.
    if let Ok(document) = serde_json::to_string(value) {
        print(&visible::json(&document));
    }
}

/// One line for people on standard error.
pub(super) fn remark(line: &str) {
    eprintln!("{}", visible::line(line));
}

fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn fact(name: &str, text: &str) {
    say(&format!("  {name:<14}{text}"));
}

/// A plan for people.
pub(super) fn plan(plan: &MovePlan) {
    say(&format!("{} comes as {}", plan.request.service, plan.name));
    fact("version", &plan.version);
    if let Some(replaced) = &plan.replaces {
        let how = if replaced.takeover { "a service, which the alias takes over" } else { "an alias" };
        fact("replaces", &format!("{} {} ({how})", replaced.service, short(&replaced.version)));
    }
    fact("files", &format!("{}, in {}", bytes(plan.total_bytes), plan.repository));
    fact("to send", &share(plan.send_bytes, plan.total_bytes));
    fact("disk", &format!("{} free", bytes(plan.disk_free_bytes)));
    fact(
        "memory",
        &format!("{} may be needed, {} free", bytes(plan.memory_needed_bytes), bytes(plan.memory_free_bytes)),
    );
    fact("time", &planned_time(plan));
    if let Some(pause_ms) = plan.pause_ms {
        fact("pause", &format!("about {pause_ms} ms, up to {} s", plan.request.hold_for_s));
    }
    plan.differences.iter().for_each(|text| fact("differs", text));
    plan.notes.iter().for_each(|text| fact("note", text));
    plan.obstacles.iter().for_each(|text| fact("OBSTACLE", text));
    fact("plan", &plan.digest);
}

/// The end of a move for a release manager.
pub(super) fn table(info: &MoveInfo) {
    let report = &info.report;
    say("");
    say(&format!("{} {}: {}", info.id, info.phase.as_str().replace('_', " "), verdict(info)));
    if let Some(former) = &report.former {
        fact("former", &format!("{} {}", former.service, short(&former.version)));
    }
    if !report.service.is_empty() {
        fact("new", &format!("{} {}", report.service, short(&report.version)));
    }
    if report.total_bytes > 0 {
        let saved = bytes(report.total_bytes.saturating_sub(report.sent_bytes));
        fact("sent", &format!("{}; {saved} saved", share(report.sent_bytes, report.total_bytes)));
    }
    let phases: Vec<String> = report
        .phases
        .iter()
        .filter(|time| !time.phase.is_over())
        .map(|time| format!("{} {:.1} s", time.phase.as_str(), time.took_ms as f64 / 1000.0))
        .collect();
    if !phases.is_empty() {
        fact("phases", &phases.join(", "));
    }
    if let Some(golden) = &report.golden {
        let origin = match golden["origin"].as_str().unwrap_or_default() {
            "given" => "given with the request",
            other => other,
        };
        let found = &golden["result"];
        let text = format!(
            "{} of {} answers agree with the source's, {} bit for bit ({origin})",
            found["within_tolerance"], found["answers"], found["bit_equal"]
        );
        fact("golden", if found.is_null() { origin } else { &text });
    }
    for (name, found) in [("shadow", &report.shadow), ("watch", &report.watch)] {
        if let Some(found) = found {
            comparison(name, found);
        }
    }
    if let Some(found) = report.verdict.as_ref().and_then(|verdict| verdict["verdict"].as_str()) {
        fact("verdict", &format!("{found}, before the switch"));
    }
    if let Some(served) = &report.served {
        let refused = if served.refused > 0 { format!(", {} refused", served.refused) } else { String::new() };
        fact("served", &format!("{} requests during the move, {} failed{refused}", served.requests, served.failed));
    }
    if let Some(reason) = &report.unproved {
        fact("UNPROVED", reason);
    }
    if let Some(switch_ms) = report.switch_ms {
        fact("switch", &format!("{switch_ms:.2} ms, generation {}", report.generation.unwrap_or_default()));
    }
    if let Some(exchange) = &report.exchange {
        let (held, failed) = (exchange.held_requests, exchange.failed_requests);
        fact("pause", &format!("{:.0} ms: {held} requests waited, {failed} were answered 503", exchange.pause_ms));
    }
    if report.cut_requests > 0 {
        let longest = report.cut.first().map_or(0.0, |longest| longest.ran_ms as f64 / 1000.0);
        let count = report.cut_requests;
        fact(
            "CUT",
            &format!("{count} requests were still running on the former service, the longest for {longest:.1} s"),
        );
    }
    if let Some(kept) = &report.kept {
        let waits = || format!("stays loaded for {}; its files stay after that", left(kept.until_ms));
        fact("kept", &kept.outcome.clone().unwrap_or_else(waits));
    }
    if let Some(certificate) = &report.certificate {
        let since = if info.phase == MovePhase::RolledBack { ", written before it was rolled back" } else { "" };
        fact("certificate", &format!("GET {certificate}{since}"));
    }
}

/// Until it is ready, and how long it is compared at most.
fn planned_time(plan: &MovePlan) -> String {
    let seconds = |ms: u64| format!("{:.1} s", ms as f64 / 1000.0);
    let ready = format!("about {} until it is ready", seconds(plan.time.ready_ms));
    if plan.time.compared_ms == 0 {
        ready
    } else {
        format!("{ready}, compared for up to {}", seconds(plan.time.compared_ms))
    }
}

/// Requests, agreement with its interval, latencies of both sides; only what was measured.
fn comparison(name: &str, found: &Value) {
    let dropped = &found["dropped"];
    if found["requests"].as_u64().unwrap_or_default() == 0 {
        return fact(name, &format!("no request was compared, {dropped} dropped"));
    }
    let rate = &found["agreement"];
    let percent = |key: &str| rate[key].as_f64().map(|share| format!("{:.1} %", share * 100.0));
    let agreement = match (percent("rate"), percent("low"), percent("high")) {
        (Some(rate), Some(low), Some(high)) => format!("{rate} agree ({low} to {high})"),
        _ => "none answered by both".to_owned(),
    };
    let failed = &found["errors"]["new_only"];
    fact(
        name,
        &format!(
            "{} requests, {agreement}, {failed} failed on the new service alone, {dropped} dropped",
            found["requests"]
        ),
    );
    let counted = |side: &str| found[side]["count"].as_u64().unwrap_or_default() > 0;
    if counted("old") && counted("new") {
        let figure = |side: &str, key: &str| found[side][key].as_f64().unwrap_or_default();
        fact(
            "",
            &format!(
                "p50 {:.2} -> {:.2} ms, p99 {:.2} -> {:.2} ms",
                figure("old", "p50_ms"),
                figure("new", "p50_ms"),
                figure("old", "p99_ms"),
                figure("new", "p99_ms")
            ),
        );
    }
}

fn verdict(info: &MoveInfo) -> String {
    match (&info.error, info.phase) {
        (Some(error), _) => error.clone(),
        (None, MovePhase::Done) => match &info.request.alias {
            Some(alias) => format!("{alias} is {} now", info.report.service),
            None => format!("{} is loaded, no alias was switched", info.report.service),
        },
        (None, _) => info.activity.clone(),
    }
}

/// Time until then, in the largest unit that says enough.
fn left(until_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = Duration::from_millis(until_ms).saturating_sub(now).as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

fn share(sent: u64, total: u64) -> String {
    let percent = if total == 0 { 0.0 } else { sent as f64 * 100.0 / total as f64 };
    format!("{}, {percent:.0} % of {}", bytes(sent), bytes(total))
}

/// `98.3 MB`.
pub(super) fn bytes(count: u64) -> String {
    let (mut value, mut unit) = (count as f64, "B");
    for larger in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1000.0, larger);
    }
    if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") }
}

/// The first digits of a version.
pub(super) fn short(version: &str) -> &str {
    version.strip_prefix("sha256:").and_then(|hex| hex.get(..8)).unwrap_or(version)
}

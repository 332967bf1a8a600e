//! Showing a move while it goes on: bars on a terminal, lines elsewhere, JSON where asked for. Several that switch together: a line for each
//! phase of each.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use dede_api::moves::{MoveInfo, MovePhase, MoveProgress};
use indicatif::{ProgressBar, ProgressStyle};

use super::pace::Paced;
use super::relay::PREFIX;
use super::report::{remark, say};
use super::visible;

/// How a move is shown.
pub(super) enum Show {
    /// States as lines of JSON.
    Json(Paced),
    /// A line per phase.
    Lines(Option<MovePhase>, Option<String>, Phases),
    /// The present phase with a bar, those before it with a check mark.
    Bars(Option<MovePhase>, ProgressBar, Phases),
}

/// Phases of several moves that switch together, as they were shown last, by number.
#[derive(Default)]
pub(super) struct Phases(BTreeMap<String, (MovePhase, Option<String>)>);

impl Phases {
    /// A line for each whose phase, or what it waits for, is another than before.
    fn lines(&mut self, info: &MoveInfo, on: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for member in &info.together {
            let shown = (member.phase, member.waits_for.clone());
            if self.0.insert(member.id.clone(), shown.clone()) == Some(shown) {
                continue;
            }
            let what =
                member.waits_for.as_deref().map_or_else(|| member.activity.clone(), |what| format!("waits for {what}"));
            lines.push(format!("{:<5} {:<16} {:<12} {what}", member.id, member.alias, member.phase.as_str()));
        }
        // What a person may do is said once, of all.
        lines.extend(hint(info, on).filter(|_| !lines.is_empty()));
        lines
    }
}

impl Show {
    /// The form that suits where the output goes.
    pub(super) fn new(json: bool) -> Self {
        if json {
            Self::Json(Paced::new())
        } else if std::io::stderr().is_terminal() {
            Self::Bars(None, ProgressBar::hidden(), Phases::default())
        } else {
            Self::Lines(None, None, Phases::default())
        }
    }

    /// Shows a state.
    pub(super) fn state(&mut self, info: &MoveInfo, on: &str) {
        match self {
            Self::Json(paced) => paced.show(info),
            Self::Lines(.., phases) | Self::Bars(.., phases) if !info.together.is_empty() => {
                phases.lines(info, on).iter().for_each(|line| say(line.trim_end()));
            }
            Self::Lines(phase, waits_for, _) => {
                if *phase != Some(info.phase) {
                    say(format!("{:<12} {}", info.phase.as_str(), info.activity).trim_end());
                    *phase = Some(info.phase);
                }
                if *waits_for != info.waits_for {
                    if let Some(hint) = hint(info, on) {
                        say(&hint);
                    }
                    waits_for.clone_from(&info.waits_for);
                }
            }
            Self::Bars(phase, bar, _) => {
                if *phase != Some(info.phase) {
                    if let Some(before) = *phase {
                        let took = info
                            .report
                            .phases
                            .iter()
                            .rev()
                            .find(|time| time.phase == before)
                            .map_or(0, |time| time.took_ms);
                        bar.finish_and_clear();
                        remark(&format!(
                            "✓ {:<12} {:.1} s",
                            before.as_str(),
                            Duration::from_millis(took).as_secs_f64()
                        ));
                    }
                    *phase = Some(info.phase);
                    *bar = if info.phase.is_over() { ProgressBar::hidden() } else { spinner() };
                }
                bar.set_prefix(info.phase.as_str());
                bar.set_message(visible::line(hint(info, on).as_deref().unwrap_or(&info.activity)));
                progress(bar, info.progress.as_ref());
            }
        }
    }
}

/// What an operator may do now.
fn hint(info: &MoveInfo, on: &str) -> Option<String> {
    let id = &info.id;
    let relay = if info.request.source.starts_with(PREFIX) { " --relay --from PEER" } else { "" };
    let others = || info.together.iter().find_map(|other| other.waits_for.as_deref());
    match info.waits_for.as_deref().or_else(others)? {
        "promote" => Some(format!("waits: `dede promote {id} --on {on}` switches, `dede abort {id} --on {on}` undoes")),
        "resume" => Some(format!(
            "interrupted: `dede resume {id}{relay} --on {on}` goes on, `dede abort {id} --on {on}` undoes"
        )),
        _ => Some(format!("cannot be undone yet: `dede abort {id} --on {on}` tries again")),
    }
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::no_length();
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn progress(bar: &ProgressBar, progress: Option<&MoveProgress>) {
    let template = match progress {
        None => "{spinner} {prefix:<12} {msg}",
        Some(progress) if progress.unit == "bytes" => {
            "{spinner} {prefix:<12} {bar:25} {bytes}/{total_bytes} {bytes_per_sec} {eta}  {msg}"
        }
        Some(progress) if progress.total == 0 => "{spinner} {prefix:<12} {pos}  {msg}",
        Some(_) => "{spinner} {prefix:<12} {bar:25} {pos}/{len} {eta}  {msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    if let Some(progress) = progress {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    }
}

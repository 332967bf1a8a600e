//! Log lines: `[date] [logger] [level] text`, or JSON, on standard error, with control characters escaped.
//!
//! Texts hold what clients sent; escaping every line here keeps clients from forging lines or steering a terminal.

use std::fmt::{self, Write as _};
use std::io::IsTerminal;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Target of all spans.
const SPANS: &str = "spans";

/// What a log line is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// `[date] [logger] [level] text`.
    #[default]
    Text,
    /// One object of JSON, with the request, move or training that it belongs to.
    Json,
}

/// Starts logging; `DEDE_LOG` chooses what (`info` by default, `warn`, `debug`, `dede_engine=debug`).
pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("DEDE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // Lines of text do not show spans, which cost some time in each request.
    let spans = if format == LogFormat::Json { LevelFilter::ERROR } else { LevelFilter::OFF };
    let filter = match format!("{SPANS}={spans}").parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let logging = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logging.with_ansi(std::io::stderr().is_terminal()).event_format(Line).init(),
        LogFormat::Json => {
            logging.json().flatten_event(true).with_current_span(false).map_event_format(EscapedJson).init();
        }
    }
}

/// Lines of JSON in which nothing steers a terminal.
struct EscapedJson<F>(F);

impl<S, N, F> FormatEvent<S, N> for EscapedJson<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        write_json(&mut writer, line.trim_end_matches('\n'))?;
        writer.write_char('\n')
    }
}

/// Writes JSON with hidden characters, which stand in strings alone, as `\u….`.
fn write_json(out: &mut impl fmt::Write, json: &str) -> fmt::Result {
    json.chars().try_for_each(|character| match is_hidden(character) {
        true => write!(out, "\\u{:04x}", u32::from(character)),
        false => out.write_char(character),
    })
}

struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (metadata, mut text) = (event.metadata(), Text::default());
        event.record(&mut text);
        writer.write_char('[')?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, "] [{}] [{}] ", metadata.target(), level(*metadata.level()))?;
        write_escaped(&mut writer, &text.message)?;
        write_escaped(&mut writer, &text.fields)?;
        writer.write_char('\n')
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }
}

/// Writes text with control characters, and the invisible ones that reorder text, as `\u{..}`.
pub(crate) fn write_escaped(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    if !text.chars().any(is_hidden) {
        return out.write_str(text);
    }
    for character in text.chars() {
        if is_hidden(character) { write!(out, "{}", character.escape_default())? } else { out.write_char(character)? }
    }
    Ok(())
}

/// Control characters, and those that reorder text.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        let mut line = String::new();
        write_escaped(&mut line, "a\r\nb\u{1b}[31mc\u{202e}d\u{7}é").expect("a string takes all");
        assert_eq!(line, r"a\r\nb\u{1b}[31mc\u{202e}d\u{7}é");
        let mut json = String::new();
        write_json(&mut json, "{\"a\":\"b\u{9b}31m\u{202e}é\"}").expect("a string takes all");
        assert_eq!(json, r#"{"a":"b\u009b31m\u202eé"}"#);
        let read: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
        assert_eq!(read["a"], "b\u{9b}31m\u{202e}é");
    }
}

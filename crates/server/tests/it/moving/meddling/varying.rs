//! Replaces in texts and JSON what differs from run to run: directories, addresses, digests, keys, times, sizes and counts of requests.
//!
//! It must not know which move a text is about. A count of zero is kept, since it is often what a text is read for.

use serde_json::Value;

use super::world::World;

/// Members that hold what requests came to: the numbers in them depend on the machine.
const MEASURED: [&str; 6] = ["exchange", "served", "shadow", "verdict", "warming", "watch"];
/// Counts in them of which a zero says the same on every machine.
const COUNTS: [&str; 9] =
    ["answers", "both", "errors", "failed", "failed_requests", "new_only", "old_only", "refused", "requests"];
/// Members that differ from run to run or from machine to machine, whatever they hold.
const REPLACED: [&str; 14] = [
    "architecture",
    "cpu_features",
    "dede",
    "engine",
    "flat",
    "most_different",
    "nonce",
    "p50_ratio",
    "p99_ms",
    "p99_ratio",
    "public_key",
    "signature",
    "size",
    "threads",
];
/// Hexadecimal numbers of at least this many digits are digests.
const DIGEST: usize = 32;

/// What this run calls things, and the word for each.
pub(super) struct Varying(Vec<(String, String)>);

impl Varying {
    pub(super) fn of(world: &World, version: &str) -> Self {
        let mut words = Vec::new();
        for (server, name) in [(&world.source, "dev"), (&world.target, "prod")] {
            words.push((server.path().display().to_string(), format!("<directory of {name}>")));
            words.push((server.address.to_string(), format!("<{name}>")));
        }
        let former = world.models.versions[0].digest.as_str();
        for (digest, name) in [(former, "former version"), (version, "new version")] {
            if let Some(digits) = digest.strip_prefix("sha256:") {
                words.push((digits.to_owned(), format!("<{name}>")));
                words.push((digits[..8].to_owned(), format!("<{name}, 8 digits>")));
            }
        }
        Self(words)
    }

    /// A text for people.
    pub(super) fn text(&self, text: &str) -> String {
        let named = self.0.iter().fold(text.to_owned(), |text, (from, word)| text.replace(from, word));
        let lines: Vec<String> = named.split('\n').map(numbers).collect();
        lines.join("\n")
    }

    /// An answer, indented.
    pub(super) fn json(&self, value: &Value) -> String {
        let mut value = value.clone();
        self.replace(&mut value, "", false);
        format!("{value:#}")
    }

    fn replace(&self, value: &mut Value, name: &str, measured: bool) {
        let word = match value {
            _ if REPLACED.contains(&name) => format!("<{name}>"),
            Value::Array(phases) if name == "phases" => {
                let names: Vec<&str> = phases.iter().filter_map(|phase| phase["phase"].as_str()).collect();
                names.join(", ")
            }
            Value::Object(members) => {
                for (member, value) in members {
                    self.replace(value, member, measured || MEASURED.contains(&member.as_str()));
                }
                return;
            }
            Value::Array(items) => return items.iter_mut().for_each(|item| self.replace(item, name, measured)),
            Value::String(text) => self.text(text),
            Value::Number(_) if name.ends_with("_ms") => "<time>".to_owned(),
            Value::Number(_) if name.ends_with("_bytes") => "<size>".to_owned(),
            Value::Number(number) if number.is_f64() => "<number>".to_owned(),
            Value::Number(number) if measured && !(COUNTS.contains(&name) && number.as_u64() == Some(0)) => {
                "<count>".to_owned()
            }
            Value::Number(_) | Value::Null | Value::Bool(_) => return,
        };
        *value = word.into();
    }
}

/// Replaces the numbers of a line: each with a fraction, with a unit, or that counts requests.
fn numbers(line: &str) -> String {
    let (mut masked, mut rest) = (String::new(), line);
    while let Some(start) = rest.find(|character: char| character.is_ascii_alphanumeric()) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|character: char| !character.is_ascii_alphanumeric() && character != '.');
        let (token, after) = from.split_at(end.unwrap_or(from.len()));
        masked.push_str(before);
        masked.push_str(&number(token, after));
        rest = after;
    }
    masked + rest
}

fn number(token: &str, after: &str) -> String {
    let unit = after.trim_start().split(|character: char| ", :;()".contains(character)).next().unwrap_or_default();
    let is_number = token.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let word = match unit {
        _ if token.len() >= DIGEST && token.bytes().all(|byte| byte.is_ascii_hexdigit()) => "<digest>",
        _ if !is_number || token.ends_with('.') => return token.to_owned(),
        "s" | "ms" | "min" | "h" => "<time>",
        "%" => "<share>",
        "B" | "kB" | "MB" | "GB" => "<size>",
        "dropped" => "<count>",
        _ if token.contains('.') => "<number>",
        "requests" | "failed" | "refused" if token != "0" => "<count>",
        _ => return token.to_owned(),
    };
    word.to_owned()
}

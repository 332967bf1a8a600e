//! `output.template`: the answer of a predict rendered with a Mustache template.
//!
//! Mustache as its manual has it (sections, inverted sections, comments, dotted names, lookup through enclosing contexts), with
//! three rules of the original: nothing is escaped, floating-point numbers have six significant digits, and there are no partials
//! and no other delimiters. A template cannot loop, but sections over a list inside each other multiply: what it writes is bounded by
//! [`LONGEST`], and what it does by [`STEPS`].

use dede_model::error::Error;
use dede_model::quote::quote;
use dede_model::request_memory::MemoryShare;
use serde_json::Value;

/// Longest text a template may produce, bytes.
const LONGEST: usize = 64 << 20;
/// The text is counted in steps of this size, bytes.
const PIECE: u64 = 64 << 10;
/// Most sections inside each other.
const DEEPEST: usize = 64;
/// Most steps of one rendering: a part of the template that is looked at once, or a name that is looked for in one place. A thousand rows of
/// a thousand classes take about five million; this many take a second.
const STEPS: u64 = 20_000_000;

/// Why there is no text.
#[derive(Debug)]
pub(super) enum Unrendered {
    /// What is wrong with the template, with the tag at fault.
    Template(String),
    /// There is no memory for the text.
    Memory(Error),
}

impl From<String> for Unrendered {
    fn from(reason: String) -> Self {
        Self::Template(reason)
    }
}

/// Renders `template` over `context`. The text counts in `memory`.
///
/// # Errors
/// [`Unrendered`].
pub(super) fn render(template: &str, context: &Value, memory: &MemoryShare) -> Result<String, Unrendered> {
    let nodes = parse(template)?;
    let mut rendering = Rendering { contexts: vec![context], text: String::new(), counted: 0, steps: 0, memory };
    rendering.write(&nodes)?;
    Ok(rendering.text)
}

#[derive(Debug, PartialEq)]
enum Node<'t> {
    Text(&'t str),
    Variable(&'t str),
    Section { name: &'t str, inverted: bool, inside: Vec<Node<'t>> },
}

enum Tag<'t> {
    Variable(&'t str),
    Open { name: &'t str, inverted: bool },
    Close(&'t str),
    Comment,
}

fn parse(template: &str) -> Result<Vec<Node<'_>>, String> {
    // Each open section with what stood before it.
    let mut open: Vec<(&str, bool, Vec<Node<'_>>)> = Vec::new();
    let (mut nodes, mut rest) = (Vec::new(), template);
    while let Some(start) = rest.find("{{") {
        let (mut before, tag, mut after) = take_tag(rest, start)?;
        if !matches!(tag, Tag::Variable(_)) && stands_alone(template, rest, before, after) {
            before = before.trim_end_matches([' ', '\t']);
            after = after.trim_start_matches([' ', '\t']);
            after = after.strip_prefix("\r\n").or_else(|| after.strip_prefix('\n')).unwrap_or(after);
        }
        if !before.is_empty() {
            nodes.push(Node::Text(before));
        }
        match tag {
            Tag::Comment => {}
            Tag::Variable(name) => nodes.push(Node::Variable(name)),
            Tag::Open { .. } if open.len() == DEEPEST => return Err(format!("sections nest deeper than {DEEPEST}")),
            Tag::Open { name, inverted } => open.push((name, inverted, std::mem::take(&mut nodes))),
            Tag::Close(name) => match open.pop() {
                Some((opened, inverted, outside)) if opened == name => {
                    let inside = std::mem::replace(&mut nodes, outside);
                    nodes.push(Node::Section { name, inverted, inside });
                }
                Some((opened, ..)) => {
                    return Err(format!("{{{{/{}}}}} closes section {:?}", quote(name), quote(opened)));
                }
                None => return Err(format!("{{{{/{}}}}} closes nothing", quote(name))),
            },
        }
        rest = after;
    }
    if let Some((name, ..)) = open.last() {
        return Err(format!("section {:?} is not closed", quote(name)));
    }
    if !rest.is_empty() {
        nodes.push(Node::Text(rest));
    }
    Ok(nodes)
}

/// Splits at the tag that starts at byte `start`: text before, tag, text after.
fn take_tag(text: &str, start: usize) -> Result<(&str, Tag<'_>, &str), String> {
    let (before, tag) = (&text[..start], &text[start + 2..]);
    let (tag, close) = tag.strip_prefix('{').map_or((tag, "}}"), |triple| (triple, "}}}"));
    let shown = || tag.chars().take(20).collect::<String>();
    let end = tag.find(close).ok_or_else(|| format!("tag {:?} is not closed", shown()))?;
    let (content, after) = (tag[..end].trim(), &tag[end + close.len()..]);
    let name = |from: &'_ str| -> Result<(), String> {
        if from.is_empty() { Err(format!("tag {:?} has no name", shown())) } else { Ok(()) }
    };
    let rest = content.get(1..).map(str::trim).unwrap_or_default();
    let tag = match content.as_bytes().first() {
        Some(b'!') => Tag::Comment,
        Some(b'#') => Tag::Open { name: rest, inverted: false },
        Some(b'^') => Tag::Open { name: rest, inverted: true },
        Some(b'/') => Tag::Close(rest),
        Some(b'&') => Tag::Variable(rest),
        Some(b'>' | b'=') => {
            return Err(format!("tag {:?}: partials and other delimiters are not supported", quote(content)));
        }
        Some(_) | None => Tag::Variable(content),
    };
    match tag {
        Tag::Variable(from) | Tag::Close(from) | Tag::Open { name: from, .. } => name(from)?,
        Tag::Comment => {}
    }
    Ok((before, tag, after))
}

/// Whether a tag is the only thing on its line, which then vanishes with it.
fn stands_alone(template: &str, rest: &str, before: &str, after: &str) -> bool {
    let at_line_start = |text: &str, is_first: bool| match text.rfind('\n') {
        Some(newline) => text[newline + 1..].trim().is_empty(),
        None => is_first && text.trim().is_empty(),
    };
    let is_first = rest.len() == template.len() || template[..template.len() - rest.len()].ends_with('\n');
    let tail = after.trim_start_matches([' ', '\t']);
    at_line_start(before, is_first) && (tail.is_empty() || tail.starts_with('\n') || tail.starts_with("\r\n"))
}

/// What is written so far, and where.
struct Rendering<'v> {
    /// The innermost last.
    contexts: Vec<&'v Value>,
    text: String,
    /// Of what it takes, bytes.
    counted: u64,
    steps: u64,
    memory: &'v MemoryShare,
}

impl<'v> Rendering<'v> {
    fn write(&mut self, nodes: &[Node<'_>]) -> Result<(), Unrendered> {
        for node in nodes {
            self.step()?;
            match node {
                Node::Text(plain) => self.push(plain)?,
                Node::Variable(name) => {
                    if let Some(value) = self.look_up(name)? {
                        self.push(&shown(value))?;
                    }
                }
                Node::Section { name, inverted, inside } => {
                    let value = self.look_up(name)?.filter(|value| holds(value));
                    match (value, inverted) {
                        (None, true) => self.write(inside)?,
                        (Some(Value::Array(items)), false) => {
                            for item in items {
                                self.write_inside(inside, item)?;
                            }
                        }
                        (Some(value), false) => self.write_inside(inside, value)?,
                        (None, false) | (Some(_), true) => {}
                    }
                }
            }
        }
        Ok(())
    }

    fn write_inside(&mut self, nodes: &[Node<'_>], context: &'v Value) -> Result<(), Unrendered> {
        self.step()?;
        self.contexts.push(context);
        let written = self.write(nodes);
        self.contexts.pop();
        written
    }

    /// The first part is looked up from the innermost context outwards, the others inside what it names.
    fn look_up(&mut self, name: &str) -> Result<Option<&'v Value>, String> {
        if name == "." {
            return Ok(self.contexts.last().copied());
        }
        let mut parts = name.split('.');
        let Some(first) = parts.next() else { return Ok(None) };
        let mut found = None;
        for place in (0..self.contexts.len()).rev() {
            self.step()?;
            found = self.contexts[place].get(first);
            if found.is_some() {
                break;
            }
        }
        for part in parts {
            self.step()?;
            found = found.and_then(|value| value.get(part));
        }
        Ok(found)
    }

    fn push(&mut self, text: &str) -> Result<(), Unrendered> {
        let length = self.text.len() + text.len();
        if length > LONGEST {
            return Err(format!("the template produces more than {LONGEST} bytes").into());
        }
        // What a text that grows takes is twice as much at most.
        if 2 * length as u64 > self.counted {
            let more = PIECE.max(2 * text.len() as u64);
            self.memory.grow(more).map_err(Unrendered::Memory)?;
            self.counted += more;
        }
        self.text.push_str(text);
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        if self.steps > STEPS {
            return Err(format!("the template takes more than {STEPS} steps over this answer"));
        }
        Ok(())
    }
}

/// Whether a section over this value is shown.
fn holds(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) | Value::Object(_) => true,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => six_digits(number.as_f64().unwrap_or_default()),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// A number the way a C++ stream writes it by default: six significant digits, no trailing zeros, an exponent of at least
/// two digits where it is below -4 or above 5.
fn six_digits(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return if number == 0.0 { "0".to_owned() } else { number.to_string() };
    }
    let scientific = format!("{number:.5e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let Ok(exponent) = exponent.parse::<i32>() else { return scientific };
    let plain = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    if (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap_or(0);
        let fixed = format!("{number:.decimals$}");
        return if decimals == 0 { fixed } else { plain(&fixed) };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", plain(mantissa), exponent.abs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn rendered(template: &str, context: &Value) -> Result<String, String> {
        render(template, context, &MemoryShare::unbounded()).map_err(|unrendered| match unrendered {
            Unrendered::Template(reason) => reason,
            Unrendered::Memory(error) => error.to_string(),
        })
    }

    #[test]
    fn the_recorded_template_gives_the_recorded_text() {
        let template = "status={{#status}}{{code}}{{/status}}\n{{#body}}{{#predictions}}*{{uri}}:\n{{#classes}}{{cat}}->{{prob}}\n{{/classes}}{{/predictions}}{{/body}}";
        let context = json!({"status": {"code": 200}, "body": {"predictions": [
            {"uri": "901", "classes": [{"cat": "0", "prob": 0.997_304_439_544_677_7}, {"cat": "1", "prob": 0.002_589_380_135_759_711_3}]},
            {"uri": "902", "classes": [{"cat": "2", "prob": 0.999_998_331_069_946_3}, {"cat": "1", "prob": 1.632_155_544_939_451e-6}]},
        ]}});
        assert_eq!(
            rendered(template, &context).expect("a good template"),
            "status=200\n*901:\n0->0.997304\n1->0.00258938\n*902:\n2->0.999998\n1->1.63216e-06\n"
        );
    }

    #[test]
    fn sections_follow_the_manual() {
        let context = json!({"a": {"b": 1.5}, "list": ["x", "y"], "none": [], "no": false, "text": "<&>"});
        for (template, expected) in [
            ("{{a.b}}{{{text}}}{{& text }}{{text}}{{missing}}", "1.5<&><&><&>"),
            ("{{#list}}{{.}},{{/list}}{{^list}}empty{{/list}}", "x,y,"),
            ("{{^none}}empty{{/none}}{{#no}}never{{/no}}{{! a comment }}", "empty"),
            ("{{#list}}{{a.b}}{{/list}}", "1.51.5"),
            ("x\n  {{#list}}\n- {{.}}\n{{/list}}\ny", "x\n- x\n- y\ny"),
            ("{{#a}}{{b}}{{/a}}\nend", "1.5\nend"),
        ] {
            assert_eq!(rendered(template, &context).expect(template), expected, "{template}");
        }
    }

    #[test]
    fn bad_templates_say_what_is_wrong() {
        for (template, part) in [
            ("{{#a}}", "\"a\" is not closed"),
            ("{{/a}}", "closes nothing"),
            ("{{#a}}{{/b}}", "closes section \"a\""),
            ("{{a", "is not closed"),
            ("{{}}", "has no name"),
            ("{{> part}}", "not supported"),
        ] {
            let error = rendered(template, &Value::Null).expect_err(template);
            assert!(error.contains(part), "{template}: {error}");
        }
        assert!(rendered(&"{{#a}}".repeat(100_000), &Value::Null).is_err());
    }

    #[test]
    fn sections_that_multiply_end_soon() {
        let rows = json!({"a": (0..10).map(|_| json!({"b": 1})).collect::<Vec<_>>(), "long": "x".repeat(1 << 20)});
        let nested = |inside: &str| format!("{}{inside}{}", "{{#a}}".repeat(40), "{{/a}}".repeat(40));
        let dotted = format!("{{{{b{}}}}}", ".b".repeat(1000));
        for (inside, complaint) in [
            ("", "steps"),
            ("{{b}}", "steps"),
            (dotted.as_str(), "steps"),
            ("{{^b}}{{/b}}", "steps"),
            ("{{long}}", "bytes"),
        ] {
            let began = std::time::Instant::now();
            let error = rendered(&nested(inside), &rows).expect_err(inside);
            assert!(error.contains(complaint), "{inside}: {error}");
            assert!(began.elapsed().as_secs() < 20, "{inside}: {:?}", began.elapsed());
        }
    }

    #[test]
    fn numbers_read_as_a_stream_writes_them() {
        for (number, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (100_000.0, "100000"),
            (999_999.5, "1e+06"),
            (1_234_567.0, "1.23457e+06"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (5.021e-18, "5.021e-18"),
            (1e100, "1e+100"),
            (123_456.0, "123456"),
        ] {
            assert_eq!(six_digits(number), expected);
        }
    }

    proptest! {
        #[test]
        fn no_template_panics(template in "[{}#/^!&a.\n ]{0,40}") {
            let _ = rendered(&template, &json!({"a": [{"a": 1}, 2]}));
        }
    }
}

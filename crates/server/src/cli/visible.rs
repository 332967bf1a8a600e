//! Text of servers and files as a terminal may be given it: characters that move the cursor, turn the direction of writing or cannot be
//! seen are written as escapes, so that one name does not look like another.
//!
//! It must not know what the text says, or where it goes.

use std::fmt::Write as _;

/// One line for people.
pub(crate) fn line(text: &str) -> String {
    escaped(text, |out, found| {
        out.extend(found.escape_unicode());
    })
}

/// Several lines for people: those after the first are indented, so that none of them passes for a message of its own.
pub(crate) fn lines(text: &str) -> String {
    text.lines().map(line).collect::<Vec<_>>().join("\n  ")
}

/// A document in JSON, with the same meaning.
pub(crate) fn json(document: &str) -> String {
    escaped(document, |out, found| {
        for unit in found.encode_utf16(&mut [0; 2]) {
            // A string takes all that is written.
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

fn escaped(text: &str, escape: impl Fn(&mut String, char)) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut before = None;
    while let Some(present) = characters.next() {
        let joins = present == JOINER && is_symbol(before) && is_symbol(characters.peek().copied());
        if is_hidden(present) && !joins {
            escape(&mut out, present);
        } else {
            out.push(present);
        }
        before = Some(present);
    }
    out
}

/// Makes one emoji of several.
const JOINER: char = '\u{200d}';

/// A pictograph, or the sign that makes one of a character, as far as emoji are joined of them.
fn is_symbol(character: Option<char>) -> bool {
    character.is_some_and(|character| {
        matches!(character, '\u{2190}'..='\u{2bff}' | '\u{fe0f}' | '\u{1f000}'..='\u{1faff}') && !is_hidden(character)
    })
}

/// What shows nothing: control characters, separators of lines, the format characters of Unicode (general category Cf), characters that
/// may be ignored (Default_Ignorable_Code_Point, but for the selector of emoji), spaces other than U+0020, and letters that are blank.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{a0}'
                | '\u{ad}'
                | '\u{34f}'
                | '\u{115f}'..='\u{1160}'
                | '\u{1680}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{2000}'..='\u{200a}'
                | '\u{202f}'
                | '\u{205f}'
                | '\u{2800}'
                | '\u{3000}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0e}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fff8}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_escaped_and_what_can_is_not() {
        for (text, expected) in [
            ("plain", "plain"),
            ("é 猫 שלום مرحبا 🚀", "é 猫 שלום مرحبا 🚀"),
            ("e\u{301} ❤\u{fe0f}", "e\u{301} ❤\u{fe0f}"),
            ("👩\u{200d}💻 ❤\u{fe0f}\u{200d}🔥", "👩\u{200d}💻 ❤\u{fe0f}\u{200d}🔥"),
            ("·\u{200d}·", r"·\u{200d}·"),
            ("a\u{a0}b\u{3164}c\u{34f}\u{2003}\u{fe01}\u{e0100}", r"a\u{a0}b\u{3164}c\u{34f}\u{2003}\u{fe01}\u{e0100}"),
            ("pr\u{200d}od\u{200d}", r"pr\u{200d}od\u{200d}"),
            ("a\u{202e}b\u{2066}c\u{200f}", r"a\u{202e}b\u{2066}c\u{200f}"),
            ("\u{1b}[2J\r\n\t\u{7f}\u{9b}", r"\u{1b}[2J\u{d}\u{a}\u{9}\u{7f}\u{9b}"),
            ("\u{feff}\u{ad}\u{2028}\u{e0041}", r"\u{feff}\u{ad}\u{2028}\u{e0041}"),
        ] {
            assert_eq!(line(text), expected);
        }
        assert_eq!(lines("a\nb\u{202e}\nc"), "a\n  b\\u{202e}\n  c");
    }

    #[test]
    fn json_means_the_same() {
        let value = serde_json::json!({"name": "a\u{202e}\u{7f}\u{e0041}é\n\u{200b}"});
        let text = json(&value.to_string());
        assert_eq!(text, r#"{"name":"a\u202e\u007f\udb40\udc41é\n\u200b"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), value);
    }
}

//! What a client sent, repeated in an answer to it: little of it, and nothing that a terminal or a log would take for its own.
//!
//! It must not know where a text came from. What was read from a file is never repeated: the client may be one that cannot read it.

use std::fmt::Write as _;

/// Characters of one text that an answer repeats.
const CHARACTERS: usize = 64;
/// Texts of one list that an answer repeats.
const ITEMS: usize = 16;

/// The beginning of a text, control characters escaped.
pub fn quote(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(CHARACTERS) {
        if character.is_control() {
            // Writing to a string cannot fail.
            let _ = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if text.chars().nth(CHARACTERS).is_some() {
        shown.push_str("...");
    }
    shown
}

/// The first texts of a list with commas between them, and how many there are besides.
pub fn quote_list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut texts = texts.into_iter();
    let mut shown = texts.by_ref().take(ITEMS).map(quote).collect::<Vec<_>>().join(",");
    match texts.count() {
        0 => {}
        more => {
            let _ = write!(shown, " and {more} more");
        }
    }
    shown
}

/// A sentence of a library, with what it repeats between quotation marks or backticks made as short.
pub fn quote_within(sentence: &str) -> String {
    let mut shown = String::new();
    let mut rest = sentence;
    while let Some(start) = rest.find(['"', '`']) {
        let (before, after) = rest.split_at(start + 1);
        let mark = if before.ends_with('"') { '"' } else { '`' };
        // The last mark ends it: what is repeated may hold marks itself.
        let Some(end) = after.rfind(mark) else { break };
        shown.push_str(before);
        shown.push_str(&quote(&after[..end]));
        rest = &after[end..];
        if rest.len() == 1 {
            break;
        }
        shown.push(mark);
        rest = &rest[1..];
    }
    shown.push_str(&quote(rest));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_repeated() {
        for (text, expected) in [
            ("", String::new()),
            ("a b", "a b".to_owned()),
            ("\u{1b}[2Ja\n", "\\u{1b}[2Ja\\n".to_owned()),
            ("é".repeat(64).as_str(), "é".repeat(64)),
            ("é".repeat(65).as_str(), format!("{}...", "é".repeat(64))),
        ] {
            assert_eq!(quote(text), expected);
        }
        assert!(quote(&"\u{7f}".repeat(1 << 20)).len() < 1000);
        assert_eq!(quote_list(["a", "b"]), "a,b");
        assert_eq!(quote_list(std::iter::repeat_n("a", 1000)), format!("{} and 984 more", ["a"; 16].join(",")));
        assert_eq!(quote_list([]), "");
        let long = format!("invalid type: string \"{}\", expected u32", "ab\"".repeat(1000));
        let shown = quote_within(&long);
        assert!(
            shown.starts_with("invalid type: string \"ab\"ab") && shown.ends_with("...\", expected u32"),
            "{shown}"
        );
        assert!(shown.len() < 120, "{shown}");
        assert_eq!(quote_within("invalid value: -1, expected u32"), "invalid value: -1, expected u32");
        assert_eq!(
            quote_within("unknown variant `a`, expected `b` or `c`"),
            "unknown variant `a`, expected `b` or `c`"
        );
    }
}

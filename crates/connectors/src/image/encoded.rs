//! Base64 as clients write it: in lines or not, with either alphabet, padded or not (RFC 4648, sections 4 and 5).
//!
//! It must not know images, nor whether a text was meant as base64 at all.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dede_model::quote::quote;

/// Bits of a character.
const BITS: usize = 6;

/// The bytes that a text stands for. Line ends count nowhere, other blanks nowhere but around the text.
///
/// # Errors
/// Which character cannot be, and where, in words.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, String> {
    match STANDARD.decode(text) {
        Ok(bytes) => Ok(bytes),
        Err(_) => {
            let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
            read(text, |more| bytes.extend_from_slice(more)).map(|()| bytes)
        }
    }
}

/// What [`decode`] answers of a text that is none, without memory for its bytes.
pub(super) fn fault(text: &str) -> Option<String> {
    read(text, |_| {}).err()
}

/// Calls `take` with the bytes, a few at a time.
fn read(text: &str, mut take: impl FnMut(&[u8])) -> Result<(), String> {
    let end = text.trim_end().len();
    let start = text.len() - text.trim_start().len();
    let (mut pending, mut characters, mut padding): (u32, usize, usize) = (0, 0, 0);
    // Characters before `end` are ASCII up to the first that is refused, so that bytes count them.
    for (at, character) in text[..end].char_indices().skip_while(|(at, _)| *at < start) {
        let refused =
            |why: &str| Err(format!("no base64: {why} \"{}\" as character {}", quote(&character.to_string()), at + 1));
        let value = match character {
            '\r' | '\n' => continue,
            '=' => {
                padding += 1;
                continue;
            }
            ' ' => return refused("a + that became a blank on its way?"),
            _ => value(character),
        };
        match value {
            Some(_) if padding > 0 => return refused("after the = at its end there is"),
            Some(value) => pending = (pending << BITS) | value,
            None => return refused("found"),
        }
        characters += 1;
        if characters.is_multiple_of(4) {
            take(&pending.to_be_bytes()[1..]);
            pending = 0;
        }
    }
    let left = characters % 4;
    let is_padded = padding == 0 || (left > 1 && padding == 4 - left);
    if left == 1 || !is_padded {
        return Err(format!(
            "no base64: it ends after {characters} characters and {padding} =, in the middle of a byte"
        ));
    }
    // Two characters left are a byte and four bits, three are two bytes and two bits.
    let whole = left.saturating_sub(1);
    take(&(pending << (BITS * (4 - left))).to_be_bytes()[1..=whole]);
    Ok(())
}

/// What a character of either alphabet stands for.
fn value(character: char) -> Option<u32> {
    let of = |first: char, value: u32| Some(u32::from(character) - u32::from(first) + value);
    match character {
        'A'..='Z' => of('A', 0),
        'a'..='z' => of('a', 26),
        '0'..='9' => of('0', 52),
        '+' | '-' => Some(62),
        '/' | '_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_clients_write_is_read() {
        for text in [
            "-_-_/+8=",
            "+/+//+8=",
            "-_-__-8",
            "-_-_\n_-8=\n",
            "-_-_\r\n_-8\r\n",
            " \n-_-__-8= \t",
            "-\n_\n-\n_\n_\n-\n8\n=\n",
            // Bits beyond the last byte are left out.
            "+/+//+9",
        ] {
            assert_eq!(decode(text).as_deref(), Ok(&[0xfb, 0xff, 0xbf, 0xff, 0xef][..]), "{text:?}");
        }
        assert_eq!(decode(""), Ok(Vec::new()));
        assert_eq!(decode("AA"), Ok(vec![0]));
    }

    #[test]
    fn the_character_that_cannot_be_is_named() {
        for (text, expected) in [
            ("AAAA?AAA", "found \"?\" as character 5"),
            ("AA\nAA,AA", "found \",\" as character 6"),
            ("AAAA\u{e9}", "found \"\u{e9}\" as character 5"),
            ("AAA\u{7}", "found \"\\u{7}\" as character 4"),
            ("AAAA AAAA", "a + that became a blank on its way? \" \" as character 5"),
            ("AA==AAAA", "after the = at its end there is \"A\" as character 5"),
            ("AAAAA", "it ends after 5 characters and 0 =, in the middle of a byte"),
            ("AA=", "it ends after 2 characters and 1 ="),
            ("AAAA=", "it ends after 4 characters and 1 ="),
            ("====", "it ends after 0 characters and 4 ="),
        ] {
            let refused = decode(text).expect_err(text);
            assert!(refused.contains(expected), "{text:?}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..200), width in 1usize..90, cut in 0usize..4) {
            let engines = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD];
            let text = engines[cut].encode(&bytes);
            for end in ["\n", "\r\n"] {
                let lines: Vec<&str> = text.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
                prop_assert_eq!(decode(&(lines.join(end) + end)), Ok(bytes.clone()));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[A-Za-z0-9+/=_\r\n .\u{e9}-]{0,40}") {
            let _ = decode(&text);
        }
    }
}

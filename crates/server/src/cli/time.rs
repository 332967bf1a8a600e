//! Times as people write them.

/// `90`, `90s`, `10m`, `1h` in seconds.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((end, 's')) => (&text[..end], 1),
        Some((end, 'm')) => (&text[..end], 60),
        Some((end, 'h')) => (&text[..end], 3600),
        _ => (text, 1),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    number.ok_or_else(|| "expected a time such as 90s, 10m or 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, expected) in [("0", 0), ("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "s", "-1s", "1.5m", "10d", "99999999999999999999h"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}

//! What a single cell holds, whatever its column is.

/// Whether a cell holds nothing that can be seen.
pub(super) fn is_blank(field: &[u8]) -> bool {
    std::str::from_utf8(field).is_ok_and(|text| text.trim().is_empty())
}

/// A number, blanks around it removed.
pub(super) fn parse_number(field: &[u8]) -> Option<f64> {
    std::str::from_utf8(field.trim_ascii()).ok()?.parse().ok()
}

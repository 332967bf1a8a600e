//! Where a line comes from, and how errors name the place. It must not know what the line holds.

use dede_model::quote::quote;

/// Where a line comes from, for complaints.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// A file or URL.
    File(&'a str),
    /// Strings of `data`; the 0-based number of this one.
    Item(usize),
}

impl Place<'_> {
    /// Whether the line was read from a file or URL, and is not repeated in errors: the client may be one that cannot read it.
    pub(super) fn is_read(self) -> bool {
        match self {
            Self::File(_) => true,
            Self::Item(_) => false,
        }
    }

    /// The line, and the column where there is one, as errors call it: `/data/iris.csv, line 3, column sw`.
    pub(super) fn line(self, line: u64, column: Option<&str>) -> String {
        let mut place = match self {
            Self::File(name) => format!("{}, line {line}", quote(name)),
            Self::Item(index) if line > 1 => format!("data[{index}], line {line}"),
            Self::Item(index) => format!("data[{index}]"),
        };
        if let Some(column) = column {
            place.push_str(", column ");
            place.push_str(column);
        }
        place
    }
}

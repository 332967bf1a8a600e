//! Quotation marks that are not closed, or closed by the mark of another cell: they swallow rows in silence.
//!
//! This follows the text as the `csv` crate splits it, which takes any text.

/// Where the quotation marks of a text stand, as far as it was followed.
#[derive(Debug)]
pub(super) struct Quotes {
    separator: u8,
    quote: Option<u8>,
    state: State,
    /// Bytes of a byte order mark that may still come.
    mark: &'static [u8],
    /// 1-based.
    line: u64,
    /// Where the last quoted cell began.
    opened: u64,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The beginning of a cell.
    Start,
    /// A cell without quotation marks, or what follows the closing one.
    Cell,
    /// A quoted cell.
    Quoted,
    /// A quoted cell, after a quotation mark: the closing one, or the first of two that stand for one.
    Closing,
}

/// A quotation mark that is missing, or too many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// 1-based line of the opening one.
    pub(super) line: u64,
    /// What is wrong with it.
    pub(super) reason: &'static str,
}

impl Quotes {
    /// At the beginning of a text.
    pub(super) fn new(separator: u8, quote: Option<u8>) -> Self {
        Self { separator, quote, state: State::Start, mark: b"\xef\xbb\xbf", line: 1, opened: 0 }
    }

    /// Follows the next piece of the text.
    ///
    /// # Errors
    /// A quoted cell of several lines that goes on after its closing mark.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Some(quote) = self.quote else { return Ok(()) };
        let is_quoted = matches!(self.state, State::Quoted | State::Closing);
        if !is_quoted && self.mark.is_empty() && !bytes.contains(&quote) {
            self.line += bytes.iter().map(|&byte| u64::from(byte == b'\n')).sum::<u64>();
            if let Some(&last) = bytes.last() {
                self.state = if self.ends_cell(last) { State::Start } else { State::Cell };
            }
            return Ok(());
        }
        bytes.iter().try_for_each(|&byte| self.step(byte, quote))
    }

    fn step(&mut self, byte: u8, quote: u8) -> Result<(), Fault> {
        match std::mem::take(&mut self.mark) {
            [first, rest @ ..] if *first == byte => {
                self.mark = rest;
                return Ok(());
            }
            _ => {}
        }
        let is_quote = byte == quote;
        self.state = match self.state {
            State::Start if is_quote => {
                self.opened = self.line;
                State::Quoted
            }
            State::Quoted if is_quote => State::Closing,
            State::Quoted => State::Quoted,
            State::Closing if is_quote => State::Quoted,
            State::Start | State::Cell | State::Closing if self.ends_cell(byte) => State::Start,
            State::Closing if self.opened < self.line => {
                let reason = "a cell in quotation marks holds line ends and goes on after the closing mark: \
                              is a mark missing, or one too many?";
                return Err(Fault { line: self.opened, reason });
            }
            State::Start | State::Cell | State::Closing => State::Cell,
        };
        self.line += u64::from(byte == b'\n');
        Ok(())
    }

    fn ends_cell(&self, byte: u8) -> bool {
        byte == self.separator || byte == b'\n' || byte == b'\r'
    }

    /// At the end of the text.
    ///
    /// # Errors
    /// A quoted cell that is not closed.
    pub(super) fn end(&self) -> Result<(), Fault> {
        if self.state == State::Quoted {
            return Err(Fault { line: self.opened, reason: "a quotation mark that opens a cell is not closed" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(text: &str, piece: usize) -> Result<(), u64> {
        let mut quotes = Quotes::new(b',', Some(b'"'));
        let pieces = text.as_bytes().chunks(piece).try_for_each(|bytes| quotes.follow(bytes));
        pieces.and_then(|()| quotes.end()).map_err(|fault| fault.line)
    }

    #[test]
    fn marks_that_are_missing_are_found_in_any_pieces() {
        for (text, expected) in [
            ("a,b\n1,2\n", Ok(())),
            ("a,\"b\"\n\"1\",\"2\"", Ok(())),
            ("a,\"b\nc\"\n\"1\n\n\",2\n", Ok(())),
            ("a,\"say \"\"x\"\"\"\n", Ok(())),
            ("a,5\" pipe\nb,6\" pipe\n", Ok(())),
            ("a,\"b\" \n1,2\n", Ok(())),
            ("\u{feff}\"a\nb\",c\n", Ok(())),
            ("\u{feff}\"a,b\n1,2\n", Err(1)),
            ("a,b\n1,\"5 inch\n3,4\n", Err(2)),
            ("a,b\n1,\"", Err(2)),
            ("a,b\n1,\"\"\"", Err(2)),
            ("a,b\n\"r1,2\n\"r2,3\n", Err(2)),
            ("a,b\r\n1,2\r\n\"r1,2\r\n3,4\r\n\"r2,3\r\n", Err(3)),
        ] {
            for piece in [1, 2, 3, 5, 1000] {
                assert_eq!(followed(text, piece), expected, "{text:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn without_a_quotation_mark_there_is_nothing_to_close() {
        let mut quotes = Quotes::new(b',', None);
        assert_eq!(quotes.follow(b"a,\"b\n").and_then(|()| quotes.end()), Ok(()));
    }
}

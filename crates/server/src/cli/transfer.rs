//! The progress of blobs that are transferred: one bar on a terminal, which keeps its place while a connection is made
//! again, and everywhere a line for each connection that broke. It knows bytes, no registries.

use std::io::{self, IsTerminal as _, Read};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use super::report::remark;

const TEMPLATE: &str = "{spinner} {bar:25} {bytes}/{total_bytes} {bytes_per_sec} {eta}";

/// Everything that one command transfers.
pub(super) struct Transfer {
    bar: ProgressBar,
}

impl Transfer {
    /// Nothing has moved yet, and nothing is shown before something does.
    pub(super) fn new() -> Self {
        let is_shown = io::stderr().is_terminal();
        let bar = if is_shown { ProgressBar::no_length() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// So many bytes of so many are on their way, or there.
    pub(super) fn moved(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// A reader whose bytes are counted, those before it too.
    pub(super) fn watch<R: Read>(&self, reader: R, before: u64, total: u64) -> Watched<'_, R> {
        self.moved(before, total);
        Watched { transfer: self, reader, done: before, total }
    }

    /// Prints a line without breaking the bar.
    pub(super) fn reporter(&self) -> Arc<dyn Fn(&str)> {
        let bar = self.bar.clone();
        Arc::new(move |line| bar.suspend(|| remark(line)))
    }
}

impl Drop for Transfer {
    /// Removes the bar: the next message, a result or an error, takes its line.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// See [`Transfer::watch`].
pub(super) struct Watched<'a, R> {
    transfer: &'a Transfer,
    reader: R,
    done: u64,
    total: u64,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.done += count as u64;
        self.transfer.moved(self.done, self.total);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_from_where_they_begin() {
        let transfer = Transfer { bar: ProgressBar::hidden() };
        let mut rest = transfer.watch(&b"456789"[..], 4, 10);
        assert_eq!((transfer.bar.position(), transfer.bar.length()), (4, Some(10)));
        rest.read_exact(&mut [0; 3]).expect("it is there");
        assert_eq!(transfer.bar.position(), 7);
        // The line about a broken connection moves nothing.
        (transfer.reporter())("broke off");
        assert_eq!(transfer.bar.position(), 7);
        let bar = transfer.bar.clone();
        drop(transfer);
        assert!(bar.is_finished(), "also where an error ends the command");
    }
}

//! A file in the address space, under a lease of the kernel.
//!
//! It owns all that must hold for a mapped file to be a slice: nothing writes or shortens it meanwhile. A read lease (fcntl(2)) is only
//! given where no writer has the file open, and whatever opens it for writing, or truncates it, waits until the lease is given back, as
//! loading a network is over in seconds. Without a lease there is no mapping.
//!
//! Pages of the file that were read count as memory of this process until they are dropped; they are the page cache's anyway.

#![expect(unsafe_code, reason = "a mapped file, and what the kernel says of it")]

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often pages that were read are dropped: an engine reads some megabytes in that time.
const DROP_EVERY: Duration = Duration::from_millis(1);

/// Which signal tells of a waiting writer: `F_SETSIG` of `asm-generic/fcntl.h`, which `libc` does not have.
const F_SETSIG: libc::c_int = 10;

/// A file, mapped to be read.
#[derive(Debug)]
pub(in crate::neural) struct Mapping {
    range: Range,
    /// Holds the lease, which goes with it.
    leased: File,
}

impl Mapping {
    /// Maps a file that nothing has open for writing.
    ///
    /// # Errors
    /// Those of the kernel: also where the file system has no leases, or the file belongs to another user.
    pub(super) fn leased(file: File) -> io::Result<Self> {
        let descriptor = file.as_raw_fd();
        // SAFETY: plain calls on a descriptor that is open. A signal tells that a writer waits: by default one that ends the process, so
        // it is made one that is ignored by default; the writer waits at most as long as this is held.
        unsafe {
            check(libc::fcntl(descriptor, F_SETSIG, libc::SIGURG))?;
            check(libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_RDLCK))?;
        }
        // Its size is that under the lease.
        let size = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        // SAFETY: a new private mapping, placed by the kernel where nothing else is.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ, libc::MAP_PRIVATE, descriptor, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { range: Range { start: start as usize, size }, leased: file })
    }

    /// Whether a path leads to this very file.
    pub(in crate::neural) fn is_at(&self, path: &Path) -> bool {
        let same = |a: std::fs::Metadata, b: std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        self.leased.metadata().and_then(|own| Ok(same(own, std::fs::metadata(path)?))).unwrap_or(false)
    }

    /// Drops the pages of the file that `work` reads, again and again while it goes on, and once more after it.
    pub(in crate::neural) fn dropping<T>(&self, work: impl FnOnce() -> T) -> T {
        let (ended, end) = (Mutex::new(false), Condvar::new());
        let answer = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut over = ended.lock().unwrap_or_else(PoisonError::into_inner);
                while !*over {
                    self.range.drop_pages();
                    over = end.wait_timeout(over, DROP_EVERY).unwrap_or_else(PoisonError::into_inner).0;
                }
            });
            let guard = Ending(&ended, &end);
            let answer = work();
            drop(guard);
            answer
        });
        self.range.drop_pages();
        answer
    }

    /// Drops the pages of the file that were read.
    pub(in crate::neural) fn drop_pages(&self) {
        self.range.drop_pages();
    }

    /// Whether anything was read since the pages were dropped last.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub(in crate::neural) fn was_read(&self) -> io::Result<bool> {
        Ok(self.range.resident_kb()? > 0)
    }

    /// Gives the lease back and keeps the addresses: for owners of pointers to it who do not follow them any more. One that did would
    /// read the file as it is by then, never anything else.
    pub(in crate::neural) fn released(self) -> Released {
        let Self { range, .. } = self;
        range.drop_pages();
        Released { _range: range }
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the range is mapped to be read as long as this lives, and the lease keeps its content and its length.
        unsafe { std::slice::from_raw_parts(self.range.start as *const u8, self.range.size) }
    }
}

/// Addresses of a file whose lease was given back.
#[derive(Debug)]
pub(in crate::neural) struct Released {
    _range: Range,
}

/// Ends the dropping of pages, also when the work panics.
struct Ending<'a>(&'a Mutex<bool>, &'a Condvar);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.1.notify_one();
    }
}

/// Addresses that are mapped, until this is dropped.
#[derive(Debug)]
struct Range {
    start: usize,
    size: usize,
}

impl Range {
    fn drop_pages(&self) {
        // SAFETY: pages of a private mapping that was never written to; the next to read them gets the file's again.
        unsafe { libc::madvise(self.start as *mut _, self.size, libc::MADV_DONTNEED) };
    }

    /// Memory behind the range, as `/proc/self/smaps` has it: one entry per mapping, its sizes in the lines below it.
    fn resident_kb(&self) -> io::Result<u64> {
        let maps = std::fs::read_to_string("/proc/self/smaps")?;
        let start = format!("{:x}-", self.start);
        let mut lines = maps.lines().skip_while(|line| !line.starts_with(&start));
        let rss = lines.find_map(|line| line.strip_prefix("Rss:")).and_then(|rest| rest.split_whitespace().next());
        let rss = rss.and_then(|number| number.parse().ok());
        rss.ok_or_else(|| io::Error::other("/proc/self/smaps does not show a mapping of this process"))
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        // SAFETY: nothing else knows the range: slices borrow its owner.
        unsafe { libc::munmap(self.start as *mut _, self.size) };
    }
}

fn check(answer: libc::c_int) -> io::Result<()> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(content: &[u8]) -> (tempfile::TempPath, Mapping) {
        let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&file, content).unwrap();
        let mapping = Mapping::leased(File::open(&file).unwrap()).unwrap();
        (file, mapping)
    }

    #[test]
    fn a_file_that_is_being_written_is_not_mapped() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Mapping::leased(File::open(file.path()).unwrap()).is_err());
    }

    #[test]
    fn whatever_writes_to_a_mapped_file_waits_for_it() {
        use std::os::unix::fs::OpenOptionsExt;
        let (file, mapping) = mapped(b"content");
        let mut writing = std::fs::OpenOptions::new();
        writing.write(true).custom_flags(libc::O_NONBLOCK);
        let refused = writing.open(&file).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EWOULDBLOCK));
        assert_eq!(&*mapping, b"content");
        drop(mapping);
        writing.open(&file).unwrap();
    }

    #[test]
    fn reading_shows_and_what_is_released_keeps_its_addresses() {
        let content = vec![7; 1 << 20];
        let (file, mapping) = mapped(&content);
        assert!(mapping.is_at(&file) && !mapping.is_at(Path::new("/")));
        assert_eq!(mapping.dropping(|| mapping.iter().map(|&byte| u64::from(byte)).sum::<u64>()), 7 << 20);
        assert!(!mapping.was_read().unwrap());
        assert_eq!(mapping[4096], 7);
        assert!(mapping.was_read().unwrap());
        let start = mapping.range.start;
        let released = mapping.released();
        assert_eq!((released._range.start, released._range.resident_kb().unwrap()), (start, 0));
        std::fs::write(&file, b"").unwrap();
    }
}

//! A file in the address space, under a lease of the kernel.
//!
//! It owns all that must hold for a mapped file to be a slice: nothing writes or shortens it meanwhile. A read lease (fcntl(2)) is only
//! given where no writer has the file open, and whatever opens it for writing, or truncates it, waits until the lease is given back. The
//! kernel takes it away from a holder that does not do so within `/proc/sys/fs/lease-break-time`, 45 s; so a thread looks whether a writer
//! waits, and then puts memory with the same content in the place of the file, and gives the lease back. (Pages of a private mapping that
//! were written to would not do: shortening the file takes them away too.) Without a lease there is no mapping.
//!
//! Pages of the file that were read count as memory of this process until they are dropped; they are the page cache's anyway.

#![expect(unsafe_code, reason = "a mapped file, and what the kernel says of it")]

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dede_model::priority;

/// How often pages that were read are dropped: an engine reads some megabytes in that time.
const DROP_EVERY: Duration = Duration::from_millis(1);

/// How often the thread looks whether a writer waits.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Which signal tells of a waiting writer: `F_SETSIG` of `asm-generic/fcntl.h`, which `libc` does not have.
const F_SETSIG: libc::c_int = 10;

/// A file, mapped to be read.
#[derive(Debug)]
pub(in crate::neural) struct Mapping {
    /// Ends before the lease does.
    _keeper: Keeper,
    range: Arc<Range>,
    /// Holds the lease, which goes with it.
    leased: Arc<File>,
}

impl Mapping {
    /// Maps a file that nothing has open for writing.
    ///
    /// # Errors
    /// Those of the kernel: also where the file system has no leases, or the file belongs to another user; where no thread can be started.
    pub(super) fn leased(file: File) -> io::Result<Self> {
        let descriptor = file.as_raw_fd();
        // SAFETY: plain calls on a descriptor that is open. A signal tells that a writer waits: by default one that ends the process, so
        // it is made one that is ignored by default, and [`Keeper`] looks for itself.
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
        let range = Arc::new(Range { start: start as usize, size, is_copied: Mutex::new(false) });
        let leased = Arc::new(file);
        let keeper = Keeper::start(Arc::clone(&range), Arc::clone(&leased))?;
        Ok(Self { _keeper: keeper, range, leased })
    }

    /// Whether a path leads to this very file.
    pub(in crate::neural) fn is_at(&self, path: &Path) -> bool {
        let same = |a: std::fs::Metadata, b: std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        self.leased.metadata().and_then(|own| Ok(same(own, std::fs::metadata(path)?))).unwrap_or(false)
    }

    /// Drops the pages of the file that `work` reads, again and again while it goes on, and once more after it.
    pub(in crate::neural) fn dropping<T>(&self, work: impl FnOnce() -> T) -> T {
        let end = End::default();
        let answer = thread::scope(|scope| {
            let dropping = || {
                while !end.wait(DROP_EVERY) {
                    self.range.drop_pages();
                }
            };
            // Without a thread the pages count until the work is over.
            let started = thread::Builder::new().spawn_scoped(scope, dropping);
            if let Err(error) = started {
                tracing::debug!(%error, "pages of a mapped file stay while it is read");
            }
            let ending = Ending(&end);
            let answer = work();
            drop(ending);
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

    /// Gives the lease back and keeps the addresses, so that nothing else gets them: for owners of pointers to it who do not follow them any
    /// more. One that did would read the file as it is by then, or end the process where it was shortened. The file keeps its place on the
    /// disk, also when it was removed, until this goes.
    pub(in crate::neural) fn released(self) -> Released {
        let Self { range, leased, .. } = self;
        // The addresses hold the file, and with it a lease that nothing gave back.
        if let Err(error) = unlease(&leased) {
            tracing::warn!(%error, "whatever writes the file of a network waits for its lease");
        }
        range.drop_pages();
        Released { _range: range }
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the range is mapped to be read as long as this lives. The lease keeps its content and its length; where it is given back
        // before, memory with the same content has taken the place of the file.
        unsafe { std::slice::from_raw_parts(self.range.start as *const u8, self.range.size) }
    }
}

/// Addresses of a file whose lease was given back.
#[derive(Debug)]
pub(in crate::neural) struct Released {
    _range: Arc<Range>,
}

/// That a thread is to end.
#[derive(Debug, Default)]
struct End {
    is_over: Mutex<bool>,
    changed: Condvar,
}

impl End {
    fn tell(&self) {
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// True as soon as it is told, false after that time.
    fn wait(&self, time: Duration) -> bool {
        let over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(over, time, |over| !*over);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Tells a thread to end, also when the work panics.
struct Ending<'a>(&'a End);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.tell();
    }
}

/// The thread that gives the lease back in time where a writer waits; it ends with this.
#[derive(Debug)]
struct Keeper {
    end: Arc<End>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    fn start(range: Arc<Range>, leased: Arc<File>) -> io::Result<Self> {
        let end = Arc::new(End::default());
        let told = Arc::clone(&end);
        let work = move || {
            while !told.wait(LOOK_EVERY) {
                if is_wanted(&leased) {
                    return give_back(&range, &leased);
                }
            }
        };
        // It must be in time, however busy the processor is.
        let thread = priority::ordinary(|| thread::Builder::new().name("lease".into()).spawn(work))?;
        Ok(Self { end, thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end.tell();
        if let Some(thread) = self.thread.take() {
            // It has ended, whatever it met.
            let _ = thread.join();
        }
    }
}

/// Whether a writer waits for the lease.
fn is_wanted(leased: &File) -> bool {
    // SAFETY: a plain call on a descriptor that is open.
    let kind = unsafe { libc::fcntl(leased.as_raw_fd(), libc::F_GETLEASE) };
    kind != libc::F_RDLCK
}

fn give_back(range: &Range, leased: &File) {
    if let Err(error) = range.copy() {
        tracing::error!(%error, "a file that is being written is mapped, and there is no memory for a copy");
        return;
    }
    let given = unlease(leased);
    tracing::info!(?given, "a file is written while its network is loaded; it is loaded as it was");
}

fn unlease(leased: &File) -> io::Result<()> {
    // SAFETY: a plain call on a descriptor that is open.
    check(unsafe { libc::fcntl(leased.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) })
}

/// Addresses that are mapped, until this is dropped.
#[derive(Debug)]
struct Range {
    start: usize,
    size: usize,
    /// Memory took the place of the file: its pages are the only ones with that content.
    is_copied: Mutex<bool>,
}

impl Range {
    fn is_copied(&self) -> MutexGuard<'_, bool> {
        self.is_copied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_pages(&self) {
        let is_copied = self.is_copied();
        if !*is_copied {
            // SAFETY: pages of a private mapping that was never written to; the next to read them gets the file's again.
            unsafe { libc::madvise(self.start as *mut _, self.size, libc::MADV_DONTNEED) };
        }
    }

    /// Puts memory with the same content in the place of the file.
    fn copy(&self) -> io::Result<()> {
        let mut is_copied = self.is_copied();
        let (kind, writable) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: new memory, placed by the kernel where nothing else is, of the size of the range, which is mapped to be read. Moving it over
        // the range is one step to threads that read there: before it there is the file, afterwards a copy.
        unsafe {
            let memory = libc::mmap(std::ptr::null_mut(), self.size, writable, kind, -1, 0);
            if memory == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            std::ptr::copy_nonoverlapping(self.start as *const u8, memory.cast::<u8>(), self.size);
            let fixed = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            let moved = check(libc::mprotect(memory, self.size, libc::PROT_READ))
                .map(|()| libc::mremap(memory, self.size, self.size, fixed, self.start as *mut libc::c_void));
            if !matches!(moved, Ok(place) if place != libc::MAP_FAILED) {
                let error = io::Error::last_os_error();
                libc::munmap(memory, self.size);
                return Err(error);
            }
        }
        *is_copied = true;
        Ok(())
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
    fn a_writer_does_not_wait_longer_than_a_copy_takes_and_changes_nothing() {
        let content = vec![7; 3 << 20];
        let (file, mapping) = mapped(&content);
        mapping.dropping(|| std::fs::write(&file, b"other").unwrap());
        assert!(*mapping == *content);
        assert!(mapping.was_read().unwrap_or(true), "it is not given up as read");
        mapping.drop_pages();
        assert!(*mapping == *content);
        assert_eq!(std::fs::read(&file).unwrap(), b"other");
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
        let began = std::time::Instant::now();
        std::fs::write(&file, b"").unwrap();
        assert!(began.elapsed() < Duration::from_secs(10), "no lease is left that the kernel has to take away");
    }
}

//! Assembling a file from chunks: every chunk is verified before it counts, whatever it came from; a damaged range is
//! fetched again, alone; chunks that an earlier attempt left are recognised by their hashes.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::ChunkHash;
use super::hashing::SideHasher;
use super::list::Chunk;
use super::plan::{Origin, Plan};
use crate::digest::Digest;

/// How often a range is fetched before it is given up.
const ATTEMPTS: usize = 3;

/// What an assembly did so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Bytes of the file.
    pub size: u64,
    /// Bytes that were fetched, those of damaged ranges included.
    pub sent: u64,
    /// Bytes that were copied from local files.
    pub local: u64,
    /// Bytes that an earlier attempt had left.
    pub resumed: u64,
    /// Ranges that arrived damaged.
    pub corrupt: Vec<Range<u64>>,
}

impl Report {
    /// Bytes that did not have to be sent.
    pub fn saved(&self) -> u64 {
        self.local + self.resumed
    }
}

/// Why a file could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// Fetching failed, or `watch` ended the work.
    #[error("fetch bytes {} to {}: {source}", range.start, range.end)]
    Fetch {
        /// What was to be fetched.
        range: Range<u64>,
        /// Why not.
        source: io::Error,
    },
    /// A range that was damaged or cut short each time.
    #[error("bytes {} to {} arrived damaged or not at all {ATTEMPTS} times", range.start, range.end)]
    Corrupt {
        /// Which.
        range: Range<u64>,
    },
    /// All chunks are as listed, but together they are another file: the list is wrong.
    #[error("the chunks listed for {expected} make {found}")]
    Digest {
        /// As wanted.
        expected: Digest,
        /// As found.
        found: Digest,
    },
    /// The target could not be read or written.
    #[error("write the file: {0}")]
    Target(#[from] io::Error),
}

/// Puts the plan's file together in `target`, which may hold what an earlier attempt left. `local` opens a file that is here, `fetch`
/// the given bytes of the wanted file at the sender, `watch` sees the report after each chunk and can end the work.
///
/// # Errors
/// [`AssemblyError`]; all but its `Digest` can be tried again with the same target.
pub fn assemble<R: Read>(
    plan: &Plan,
    target: &File,
    local: impl FnMut(&Digest) -> io::Result<File>,
    fetch: impl FnMut(Range<u64>) -> io::Result<R>,
    watch: impl FnMut(&Report) -> io::Result<()>,
) -> Result<Report, AssemblyError> {
    let mut assembly = Assembly {
        plan,
        target,
        present: target.metadata()?.len(),
        hashed: 0,
        hasher: SideHasher::start()?,
        missing: Vec::new(),
        buffer: Vec::new(),
        report: Report { size: plan.list().size(), ..Report::default() },
        local,
        fetch,
        watch,
    };
    assembly.first_round()?;
    assembly.further_rounds()?;
    assembly.finish()
}

struct Assembly<'a, L, F, W> {
    plan: &'a Plan,
    target: &'a File,
    /// Bytes the target had at the beginning.
    present: u64,
    /// Chunks that `hasher` has taken: the sha256 is made in passing as long as chunks come in order.
    hashed: usize,
    hasher: SideHasher,
    /// Chunks that are not there yet, in order.
    missing: Vec<usize>,
    buffer: Vec<u8>,
    report: Report,
    local: L,
    fetch: F,
    watch: W,
}

impl<L, F, W, R> Assembly<'_, L, F, W>
where
    L: FnMut(&Digest) -> io::Result<File>,
    F: FnMut(Range<u64>) -> io::Result<R>,
    W: FnMut(&Report) -> io::Result<()>,
    R: Read,
{
    fn first_round(&mut self) -> Result<(), AssemblyError> {
        let plan = self.plan;
        for step in plan.steps() {
            let mut wanted = Vec::new();
            for index in step.chunks.clone() {
                if !self.is_present(index)? {
                    wanted.push(index);
                }
            }
            match step.origin {
                Origin::Remote => self.fetch_all(&wanted)?,
                Origin::Local { file, offset } => {
                    self.copy(&wanted, file, |chunk| chunk.offset - step.range.start + offset)?
                }
            }
        }
        Ok(())
    }

    fn further_rounds(&mut self) -> Result<(), AssemblyError> {
        for _ in 1..ATTEMPTS {
            let again = std::mem::take(&mut self.missing);
            self.fetch_all(&again)?;
        }
        match self.missing.first() {
            Some(&index) => Err(AssemblyError::Corrupt { range: self.chunk(index).range() }),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Report, AssemblyError> {
        self.target.set_len(self.plan.list().size())?;
        for index in self.hashed..self.plan.list().chunks().len() {
            let chunk = self.chunk(index);
            self.buffer.resize(chunk.length as usize, 0);
            self.target.read_exact_at(&mut self.buffer, chunk.offset)?;
            self.hasher.take(&mut self.buffer)?;
        }
        let (expected, found) = (self.plan.list().digest(), self.hasher.digest()?);
        if found == expected { Ok(self.report) } else { Err(AssemblyError::Digest { expected, found }) }
    }

    /// Whether an earlier attempt left the chunk.
    fn is_present(&mut self, index: usize) -> Result<bool, AssemblyError> {
        let chunk = self.chunk(index);
        if chunk.range().end > self.present {
            return Ok(false);
        }
        self.buffer.resize(chunk.length as usize, 0);
        self.target.read_exact_at(&mut self.buffer, chunk.offset)?;
        let present = ChunkHash::of(&self.buffer) == chunk.hash;
        if present {
            self.report.resumed += u64::from(chunk.length);
            self.accept(index)?;
        }
        Ok(present)
    }

    /// Copies chunks from a local file. One that is not what it was is fetched instead.
    fn copy(&mut self, wanted: &[usize], file: Digest, place: impl Fn(&Chunk) -> u64) -> Result<(), AssemblyError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let source = (self.local)(&file).ok();
        for &index in wanted {
            let chunk = self.chunk(index);
            self.buffer.resize(chunk.length as usize, 0);
            let read =
                source.as_ref().is_some_and(|source| source.read_exact_at(&mut self.buffer, place(&chunk)).is_ok());
            if read && ChunkHash::of(&self.buffer) == chunk.hash {
                self.target.write_all_at(&self.buffer, chunk.offset)?;
                self.report.local += u64::from(chunk.length);
                self.accept(index)?;
            } else {
                self.missing.push(index);
            }
        }
        Ok(())
    }

    /// Fetches chunks, neighbours with one request.
    fn fetch_all(&mut self, wanted: &[usize]) -> Result<(), AssemblyError> {
        for run in wanted.chunk_by(|one, next| one + 1 == *next) {
            self.fetch_run(run)?;
        }
        Ok(())
    }

    fn fetch_run(&mut self, run: &[usize]) -> Result<(), AssemblyError> {
        let (Some(&first), Some(&last)) = (run.first(), run.last()) else { return Ok(()) };
        let range = self.chunk(first).offset..self.chunk(last).range().end;
        let mut reader = (self.fetch)(range.clone()).map_err(|source| AssemblyError::Fetch { range, source })?;
        for (position, &index) in run.iter().enumerate() {
            let chunk = self.chunk(index);
            self.buffer.resize(chunk.length as usize, 0);
            if reader.read_exact(&mut self.buffer).is_err() {
                // Cut short: the rest is fetched again, from here.
                self.missing.extend(&run[position..]);
                return Ok(());
            }
            self.report.sent += u64::from(chunk.length);
            if ChunkHash::of(&self.buffer) == chunk.hash {
                self.target.write_all_at(&self.buffer, chunk.offset)?;
                self.accept(index)?;
            } else {
                self.report.corrupt.push(chunk.range());
                self.missing.push(index);
            }
        }
        Ok(())
    }

    /// Takes the verified chunk that is in the buffer and in the target.
    fn accept(&mut self, index: usize) -> Result<(), AssemblyError> {
        if index == self.hashed {
            self.hasher.take(&mut self.buffer)?;
            self.hashed += 1;
        }
        // As hashing does.
        std::thread::yield_now();
        let range = self.chunk(index).range();
        (self.watch)(&self.report).map_err(|source| AssemblyError::Fetch { range, source })
    }

    fn chunk(&self, index: usize) -> Chunk {
        self.plan.list().chunks()[index]
    }
}

//! The chunks of one file, and their form on the wire.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use fastcdc::v2020::{Error, StreamCDC};

use crate::digest::{Digest, Hasher};

/// Smallest, average and largest chunk. Two servers cut alike only with the same three.
const MINIMUM: usize = 16 << 10;
const AVERAGE: usize = 64 << 10;
const MAXIMUM: usize = 256 << 10;

/// Longest list on the wire, bytes: enough for files of 100 GB.
pub const LIST_LIMIT: u64 = 64 << 20;
/// First bytes of a list; the number is the format's.
const MAGIC: &[u8; 8] = b"dedecdc1";
/// Magic, digest and size.
const HEADER: usize = 8 + 32 + 8;
/// Length and hash.
const ENTRY: usize = 4 + 32;

/// BLAKE3 of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkHash([u8; 32]);

impl ChunkHash {
    /// The hash of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Debug for ChunkHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&blake3::Hash::from(self.0).to_hex())
    }
}

/// One chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Where it begins in the file.
    pub offset: u64,
    /// Bytes; never none, at most 256 KiB.
    pub length: u32,
    /// Content.
    pub hash: ChunkHash,
}

impl Chunk {
    /// The bytes it covers.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + u64::from(self.length)
    }
}

/// A file as the chunks it consists of, without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkList {
    digest: Digest,
    size: u64,
    chunks: Vec<Chunk>,
}

/// Bytes that are no chunk list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a chunk list: {0}")]
pub struct InvalidChunkList(String);

impl ChunkList {
    /// Cuts what a reader gives.
    ///
    /// # Errors
    /// The reader's.
    pub fn of_reader(reader: impl Read) -> io::Result<Self> {
        let mut hasher = Hasher::new();
        let mut chunks = Vec::new();
        for cut in StreamCDC::new(reader, MINIMUM, AVERAGE, MAXIMUM) {
            let cut = cut.map_err(|error| match error {
                Error::IoError(error) => error,
                Error::Empty | Error::Other(_) => io::Error::other(error),
            })?;
            hasher.update(&cut.data);
            chunks.push(Chunk { offset: cut.offset, length: cut.length as u32, hash: ChunkHash::of(&cut.data) });
        }
        Ok(Self { size: hasher.length(), digest: hasher.digest(), chunks })
    }

    /// sha256 of the file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// In the order of the file.
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// The form on the wire: magic, sha256, size, then length and BLAKE3 of each chunk; numbers are little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + ENTRY * self.chunks.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(self.digest.as_bytes());
        bytes.extend_from_slice(&self.size.to_le_bytes());
        for chunk in &self.chunks {
            bytes.extend_from_slice(&chunk.length.to_le_bytes());
            bytes.extend_from_slice(&chunk.hash.0);
        }
        bytes
    }

    /// Reads the form on the wire; everything in it is checked, but only fetching shows whether the hashes are the file's.
    ///
    /// # Errors
    /// [`InvalidChunkList`].
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidChunkList> {
        let refuse = |reason: String| InvalidChunkList(reason);
        if bytes.len() as u64 > LIST_LIMIT {
            return Err(refuse(format!("at most {LIST_LIMIT} bytes expected, found {}", bytes.len())));
        }
        let truncated = || refuse(format!("{} bytes are no whole number of entries", bytes.len()));
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| refuse("another format".into()))?;
        let (digest, rest) = rest.split_first_chunk::<32>().ok_or_else(truncated)?;
        let (size, entries) = rest.split_first_chunk::<8>().ok_or_else(truncated)?;
        let (entries, remainder) = entries.as_chunks::<ENTRY>();
        if !remainder.is_empty() {
            return Err(truncated());
        }
        let mut offset = 0;
        let mut chunks = Vec::with_capacity(entries.len());
        for entry in entries {
            let (length, hash) = entry.split_first_chunk::<4>().ok_or_else(truncated)?;
            let length = u32::from_le_bytes(*length);
            if !(1..=MAXIMUM as u32).contains(&length) {
                return Err(refuse(format!("chunks of 1 to {MAXIMUM} bytes expected, found {length}")));
            }
            let hash = ChunkHash(*hash.first_chunk::<32>().ok_or_else(truncated)?);
            chunks.push(Chunk { offset, length, hash });
            // The list's length is bounded, so this stays far below the type's limit.
            offset += u64::from(length);
        }
        let size = u64::from_le_bytes(*size);
        if offset != size {
            return Err(refuse(format!("chunks of {size} bytes expected, found {offset}")));
        }
        Ok(Self { digest: Digest::from_bytes(*digest), size, chunks })
    }
}

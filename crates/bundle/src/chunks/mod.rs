//! Chunks below the file: which parts of a wanted file are already in other files, and assembling it from those and
//! from the sender. Boundaries follow the content (FastCDC), so that an insertion moves none but its neighbours; each
//! chunk has a BLAKE3 hash. It knows byte ranges and hashes, not how ranges are fetched.

mod assembly;
mod hashing;
mod list;
mod plan;
#[cfg(test)]
mod tests;

pub use assembly::{AssemblyError, Report, assemble};
pub use list::{Chunk, ChunkHash, ChunkList, InvalidChunkList, LIST_LIMIT};
pub use plan::{LocalIndex, Origin, Plan, Step};

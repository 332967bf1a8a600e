//! Chunks below the file: what of a wanted file is already in other files, and putting it together from there and from the sender.
//! Boundaries follow the content (FastCDC), so that an insertion moves none but its neighbours; each chunk has a BLAKE3 hash. Knows
//! byte ranges and hashes, not how ranges are fetched.

mod assembly;
mod hashing;
mod list;
mod plan;
#[cfg(test)]
mod tests;

pub use assembly::{AssemblyError, Report, assemble};
pub use list::{Chunk, ChunkHash, ChunkList, InvalidChunkList, LIST_LIMIT};
pub use plan::{LocalIndex, Origin, Plan, Step};

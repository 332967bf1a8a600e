//! Which ranges of a wanted file are copied from local files, and which are fetched.

use std::collections::HashMap;
use std::ops::Range;

use super::list::{Chunk, ChunkHash, ChunkList};
use crate::digest::Digest;

/// Where chunks are in local files.
#[derive(Debug, Default)]
pub struct LocalIndex {
    sources: Vec<Digest>,
    places: HashMap<ChunkHash, Place>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    source: usize,
    offset: u64,
    length: u32,
}

impl LocalIndex {
    /// Knows no file yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file; of equal chunks the first is kept.
    pub fn add(&mut self, list: &ChunkList) {
        let source = self.sources.len();
        self.sources.push(list.digest());
        for chunk in list.chunks() {
            let place = Place { source, offset: chunk.offset, length: chunk.length };
            self.places.entry(chunk.hash).or_insert(place);
        }
    }

    fn find(&self, chunk: &Chunk) -> Origin {
        // A list may lie about lengths; then the hash would not match what is read.
        match self.places.get(&chunk.hash).filter(|place| place.length == chunk.length) {
            Some(place) => Origin::Local { file: self.sources[place.source], offset: place.offset },
            None => Origin::Remote,
        }
    }
}

/// Where the bytes of a step come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// They are fetched.
    Remote,
    /// They are copied from a file that is here.
    Local {
        /// Which file.
        file: Digest,
        /// Where in it the first of them is.
        offset: u64,
    },
}

impl Origin {
    fn continues_at(&self, length: u64, next: &Self) -> bool {
        match (self, next) {
            (Self::Remote, Self::Remote) => true,
            (Self::Local { file, offset }, Self::Local { file: next_file, offset: next_offset }) => {
                file == next_file && offset + length == *next_offset
            }
            (Self::Remote, Self::Local { .. }) | (Self::Local { .. }, Self::Remote) => false,
        }
    }
}

/// Neighbouring chunks with one origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which chunks of the list.
    pub chunks: Range<usize>,
    /// Which bytes of the wanted file.
    pub range: Range<u64>,
    /// Where from.
    pub origin: Origin,
}

/// How a wanted file is put together.
#[derive(Debug, Clone)]
pub struct Plan {
    list: ChunkList,
    steps: Vec<Step>,
}

impl Plan {
    /// Looks up every chunk of the wanted file; neighbours are taken together.
    pub fn new(list: ChunkList, local: &LocalIndex) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        for (index, chunk) in list.chunks().iter().enumerate() {
            let origin = local.find(chunk);
            match steps.last_mut() {
                Some(step) if step.origin.continues_at(step.range.end - step.range.start, &origin) => {
                    step.chunks.end = index + 1;
                    step.range.end = chunk.range().end;
                }
                _ => steps.push(Step { chunks: index..index + 1, range: chunk.range(), origin }),
            }
        }
        Self { list, steps }
    }

    /// The wanted file.
    pub fn list(&self) -> &ChunkList {
        &self.list
    }

    /// In the order of the file, without gaps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The ranges to fetch.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.steps.iter().filter(|step| step.origin == Origin::Remote).map(|step| step.range.clone())
    }

    /// Bytes to fetch; the others are here.
    pub fn bytes_to_fetch(&self) -> u64 {
        self.ranges().map(|range| range.end - range.start).sum()
    }

    /// The local files that are read.
    pub fn sources(&self) -> impl Iterator<Item = Digest> + '_ {
        self.steps.iter().filter_map(|step| match step.origin {
            Origin::Local { file, .. } => Some(file),
            Origin::Remote => None,
        })
    }
}

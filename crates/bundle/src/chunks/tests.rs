//! Chunk lists, plans and assemblies, with connections and files that fail in between.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::digest::Digest;

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn list(bytes: &[u8]) -> ChunkList {
    ChunkList::of_reader(bytes).unwrap()
}

fn index(files: &[&[u8]]) -> LocalIndex {
    let mut index = LocalIndex::new();
    files.iter().for_each(|file| index.add(&list(file)));
    index
}

/// Spoils an answer: the request's number, its range, its bytes.
type Spoil<'a> = &'a dyn Fn(usize, &Range<u64>, &mut Vec<u8>);

/// A sender that counts its requests and can spoil its answers.
struct Sender<'a> {
    bytes: &'a [u8],
    requests: RefCell<Vec<Range<u64>>>,
    spoil: Spoil<'a>,
}

impl Sender<'_> {
    fn answer(&self, range: Range<u64>) -> io::Result<io::Cursor<Vec<u8>>> {
        let mut answer = self.bytes[range.start as usize..range.end as usize].to_vec();
        (self.spoil)(self.requests.borrow().len(), &range, &mut answer);
        self.requests.borrow_mut().push(range);
        Ok(io::Cursor::new(answer))
    }
}

/// Local files by digest.
struct Local(tempfile::TempDir, HashMap<Digest, Vec<u8>>);

impl Local {
    fn new(files: &[&[u8]]) -> Self {
        let contents = files.iter().map(|bytes| (Digest::of(bytes), bytes.to_vec())).collect();
        Self(tempfile::tempdir().unwrap(), contents)
    }

    fn open(&self, digest: &Digest) -> io::Result<File> {
        let path = self.0.path().join(digest.hex());
        std::fs::write(&path, &self.1[digest])?;
        File::open(path)
    }
}

fn run(plan: &Plan, target: &File, local: &Local, sender: &Sender<'_>) -> Result<Report, AssemblyError> {
    assemble(plan, target, |digest| local.open(digest), |range| sender.answer(range), |_| Ok(()))
}

fn fair(bytes: &[u8]) -> Sender<'_> {
    Sender { bytes, requests: RefCell::default(), spoil: &|_, _, _| {} }
}

fn content(mut target: &File) -> Vec<u8> {
    use std::io::Seek;
    let mut bytes = Vec::new();
    target.rewind().unwrap();
    target.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_list_covers_the_file_without_gaps_and_comes_back() {
    for length in [0, 1, 16 << 10, (16 << 10) + 1, 3_000_000] {
        let bytes = noise(1, length);
        let list = list(&bytes);
        assert_eq!((list.size(), list.digest()), (length as u64, Digest::of(&bytes)));
        let mut end = 0;
        for chunk in list.chunks() {
            assert_eq!(chunk.offset, end);
            end = chunk.range().end;
            assert_eq!(chunk.hash, ChunkHash::of(&bytes[chunk.offset as usize..end as usize]));
        }
        assert_eq!(end, length as u64);
        assert_eq!(ChunkList::parse(&list.to_bytes()).unwrap(), list);
    }
    let list = list(&noise(2, 20_000_000));
    let average = list.size() / list.chunks().len() as u64;
    assert!((40_000..120_000).contains(&average), "{average}");
    assert!(list.to_bytes().len() < 20_000_000 / 1000);
}

#[test]
fn the_hash_is_blake3() {
    let hash = format!("{:?}", ChunkHash::of(b""));
    assert_eq!(hash, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
}

#[test]
fn damaged_lists_are_refused() {
    let good = list(&noise(3, 200_000)).to_bytes();
    let edit = |position: usize, bytes: &[u8]| {
        let mut list = good.clone();
        list[position..position + bytes.len()].copy_from_slice(bytes);
        list
    };
    let zero = edit(48, &0u32.to_le_bytes());
    let huge = edit(48, &u32::MAX.to_le_bytes());
    let size = edit(40, &u64::MAX.to_le_bytes());
    let magic = edit(0, b"x");
    let long = [&good[..], &vec![0; LIST_LIMIT as usize]].concat();
    let cases = [
        &[][..],
        b"dedecdc1",
        &good[..47],
        &good[..good.len() - 1],
        &good[..good.len() - 36],
        &zero,
        &huge,
        &size,
        &magic,
        &long,
    ];
    for (number, case) in cases.iter().enumerate() {
        assert!(ChunkList::parse(case).is_err(), "{number}");
    }
}

#[test]
fn a_plan_takes_neighbours_together() {
    let base = noise(4, 2_000_000);
    let mut wanted = base.clone();
    wanted[1_000_000..1_100_000].copy_from_slice(&noise(5, 100_000));
    let plan = Plan::new(list(&wanted), &index(&[&base]));
    let remote: Vec<_> = plan.ranges().collect();
    assert_eq!(remote.len(), 1, "{remote:?}");
    assert!(remote[0].start <= 1_000_000 && remote[0].end >= 1_100_000);
    assert_eq!(plan.steps().len(), 3);
    assert_eq!(plan.steps().last().unwrap().range.end, 2_000_000);
    assert_eq!(plan.sources().collect::<Vec<_>>(), [Digest::of(&base); 2]);
    assert_eq!(Plan::new(list(&wanted), &LocalIndex::new()).bytes_to_fetch(), 2_000_000);
    assert_eq!(Plan::new(list(&base), &index(&[&wanted, &base])).bytes_to_fetch(), 0);
}

/// What a plan sends after an edit in the middle of a file.
fn sent_after(edit: impl FnOnce(&mut Vec<u8>)) -> u64 {
    let base = noise(6, 25 << 20);
    let mut wanted = base.clone();
    edit(&mut wanted);
    let list = list(&wanted);
    Plan::new(list.clone(), &index(&[&base])).bytes_to_fetch() + list.to_bytes().len() as u64
}

#[test]
fn small_edits_of_a_large_file_send_little() {
    let replaced = sent_after(|bytes| bytes[9_000_000..10_000_000].copy_from_slice(&noise(7, 1_000_000)));
    let inserted = sent_after(|bytes| drop(bytes.splice(5_000_000..5_000_000, noise(8, 1000))));
    let both = sent_after(|bytes| {
        bytes[9_000_000..10_000_000].copy_from_slice(&noise(7, 1_000_000));
        drop(bytes.splice(5_000_000..5_000_000, noise(8, 1000)));
    });
    assert!(replaced < 2_000_000, "{replaced}");
    assert!(inserted < 600_000, "{inserted}");
    assert!(both < 2_500_000, "{both}");
}

#[test]
fn a_corrupt_range_is_named_and_fetched_again_alone() {
    let wanted = noise(9, 1_000_000);
    let list = list(&wanted);
    let damaged = list.chunks()[3].range();
    let spoil = |request: usize, _: &Range<u64>, answer: &mut Vec<u8>| {
        if request == 0 {
            answer[damaged.start as usize + 5] ^= 1;
        }
    };
    let sender = Sender { bytes: &wanted, requests: RefCell::default(), spoil: &spoil };
    let target = tempfile::tempfile().unwrap();
    let plan = Plan::new(list, &LocalIndex::new());
    let report = run(&plan, &target, &Local::new(&[]), &sender).unwrap();
    assert_eq!(report.corrupt, std::slice::from_ref(&damaged));
    assert_eq!(report.sent, 1_000_000 + damaged.end - damaged.start);
    assert_eq!(*sender.requests.borrow(), [0..1_000_000, damaged]);
    assert_eq!(content(&target), wanted);
}

#[test]
fn a_range_that_stays_corrupt_is_given_up_by_name_and_the_rest_is_kept() {
    let wanted = noise(10, 1_000_000);
    let list = list(&wanted);
    let damaged = list.chunks()[2].range();
    let spoil = |_: usize, range: &Range<u64>, answer: &mut Vec<u8>| {
        answer[(damaged.start - range.start) as usize] ^= 1;
    };
    let sender = Sender { bytes: &wanted, requests: RefCell::default(), spoil: &spoil };
    let target = tempfile::tempfile().unwrap();
    let plan = Plan::new(list, &LocalIndex::new());
    let error = run(&plan, &target, &Local::new(&[]), &sender).unwrap_err();
    assert!(matches!(&error, AssemblyError::Corrupt { range } if *range == damaged), "{error}");
    assert_eq!(sender.requests.borrow().len(), 3);
    let sender = fair(&wanted);
    let report = run(&plan, &target, &Local::new(&[]), &sender).unwrap();
    assert_eq!(
        (report.sent, *sender.requests.borrow() == std::slice::from_ref(&damaged)),
        (damaged.end - damaged.start, true)
    );
    assert_eq!(content(&target), wanted);
}

#[test]
fn a_cut_connection_goes_on_where_it_was_cut() {
    let wanted = noise(11, 1_000_000);
    let spoil = |request: usize, _: &Range<u64>, answer: &mut Vec<u8>| {
        if request == 0 {
            answer.truncate(600_000);
        }
    };
    let sender = Sender { bytes: &wanted, requests: RefCell::default(), spoil: &spoil };
    let target = tempfile::tempfile().unwrap();
    let report = run(&Plan::new(list(&wanted), &LocalIndex::new()), &target, &Local::new(&[]), &sender).unwrap();
    assert_eq!((report.corrupt.len(), sender.requests.borrow().len()), (0, 2));
    assert!(sender.requests.borrow()[1].start > 300_000);
    assert_eq!(content(&target), wanted);
}

#[test]
fn local_files_that_changed_are_fetched_instead() {
    let wanted = noise(12, 1_000_000);
    let mut local = Local::new(&[&wanted]);
    let plan = Plan::new(list(&wanted), &index(&[&wanted]));
    local.1.get_mut(&Digest::of(&wanted)).unwrap()[500_000] ^= 1;
    let (sender, target) = (fair(&wanted), tempfile::tempfile().unwrap());
    let report = run(&plan, &target, &local, &sender).unwrap();
    assert_eq!((report.local + report.sent, sender.requests.borrow().len()), (1_000_000, 1));
    assert!(report.sent > 0 && report.sent <= 256 << 10);
    assert_eq!(content(&target), wanted);
    let gone = assemble(
        &plan,
        &tempfile::tempfile().unwrap(),
        |_| Err(io::Error::other("gone")),
        |range| sender.answer(range),
        |_| Ok(()),
    );
    assert_eq!(gone.unwrap().sent, 1_000_000);
}

#[test]
fn a_list_of_another_file_is_found_out() {
    let (wanted, other) = (noise(13, 100_000), noise(14, 100_000));
    let mut bytes = list(&wanted).to_bytes();
    bytes[8..40].copy_from_slice(&list(&other).to_bytes()[8..40]);
    let plan = Plan::new(ChunkList::parse(&bytes).unwrap(), &LocalIndex::new());
    let error = run(&plan, &tempfile::tempfile().unwrap(), &Local::new(&[]), &fair(&wanted)).unwrap_err();
    assert!(
        matches!(error, AssemblyError::Digest { expected, found } if expected == Digest::of(&other) && found == Digest::of(&wanted))
    );
}

#[test]
fn the_fetcher_and_the_watcher_can_end_it() {
    let wanted = noise(15, 500_000);
    let plan = Plan::new(list(&wanted), &LocalIndex::new());
    let target = tempfile::tempfile().unwrap();
    let refuse = |_| -> io::Result<&[u8]> { Err(io::Error::other("no")) };
    let error = assemble(&plan, &target, |_| unreachable!(), refuse, |_| Ok(())).unwrap_err();
    assert_eq!(error.to_string(), "fetch bytes 0 to 500000: no");
    let sender = fair(&wanted);
    let error = assemble(
        &plan,
        &target,
        |_| unreachable!(),
        |range| sender.answer(range),
        |_| Err(io::Error::other("aborted")),
    );
    assert!(error.unwrap_err().to_string().ends_with("aborted"));
}

#[derive(Debug, Clone)]
enum Edit {
    Replace(usize, usize),
    Insert(usize, usize),
    Delete(usize, usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let place = (0usize..1_000_000, 0usize..60_000);
    let one = (0..3, place).prop_map(|(kind, (at, length))| match kind {
        0 => Edit::Replace(at, length),
        1 => Edit::Insert(at, length),
        _ => Edit::Delete(at, length),
    });
    proptest::collection::vec(one, 0..5)
}

fn apply(bytes: &mut Vec<u8>, edits: &[Edit]) {
    for (seed, edit) in edits.iter().enumerate() {
        let (Edit::Replace(at, length) | Edit::Insert(at, length) | Edit::Delete(at, length)) = *edit;
        let at = at.min(bytes.len());
        let end = (at + length).min(bytes.len());
        let fresh = noise(100 + seed as u64, length);
        match edit {
            Edit::Replace(..) => bytes[at..end].copy_from_slice(&fresh[..end - at]),
            Edit::Insert(..) => drop(bytes.splice(at..at, fresh)),
            Edit::Delete(..) => drop(bytes.drain(at..end)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_edit_is_put_together_from_what_is_here_and_a_bounded_rest(edits in edits(), left in 0usize..1_200_000, spoilt in any::<u8>()) {
        let base = noise(16, 1_000_000);
        let mut wanted = base.clone();
        apply(&mut wanted, &edits);
        let plan = Plan::new(list(&wanted), &index(&[&base]));
        // Each edit costs itself and the chunks around its two ends; boundaries find each other again within a few chunks.
        let edited: usize = edits.iter().map(|edit| match edit {
            Edit::Replace(_, length) | Edit::Insert(_, length) => *length,
            Edit::Delete(..) => 0,
        }).sum();
        prop_assert!(plan.bytes_to_fetch() <= (edited + edits.len() * (1 << 20)) as u64);

        // An earlier attempt that left a part of the file with one wrong byte in it.
        let target = tempfile::tempfile().unwrap();
        let mut part = wanted[..left.min(wanted.len())].to_vec();
        if let Some(byte) = part.get_mut(usize::from(spoilt) * 1000) {
            *byte ^= 1;
        }
        std::os::unix::fs::FileExt::write_all_at(&target, &part, 0).unwrap();
        let report = run(&plan, &target, &Local::new(&[&base]), &fair(&wanted)).unwrap();
        prop_assert_eq!(report.sent + report.local + report.resumed, wanted.len() as u64);
        prop_assert!(report.sent <= plan.bytes_to_fetch() + (256 << 10));
        prop_assert!(content(&target) == wanted);
    }

    #[test]
    fn no_bytes_make_the_list_parser_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = ChunkList::parse(&bytes);
        bytes.splice(0..0, *b"dedecdc1");
        let _ = ChunkList::parse(&bytes);
    }
}

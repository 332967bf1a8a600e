//! Equality with OpenCV, on results that `tests/fixtures/opencv/make_expected.py` wrote.

use super::*;

const CASES: &str = include_str!("../../../tests/fixtures/opencv/resize.tsv");
const RESULTS: &[u8] = include_bytes!("../../../tests/fixtures/opencv/resize.bin");

/// One line of resize.tsv.
struct Case<'a> {
    name: &'a str,
    method: Interpolation,
    kind: &'a str,
    source: (usize, usize),
    channels: usize,
    scaling: Scaling,
    hash: &'a str,
    stored: Option<&'a [u8]>,
}

impl<'a> Case<'a> {
    fn parse(line: &'a str) -> Self {
        let fields: Vec<&str> = line.split('\t').collect();
        let number = |at: usize| fields[at].parse::<usize>().expect("a size");
        let factor: f64 = fields[7].parse().expect("a factor");
        let source = (number(3), number(4));
        let scaling = if factor > 0.0 {
            Scaling::by_factor(source, factor)
        } else {
            Scaling::to_size(source, number(5), number(6))
        };
        assert_eq!((scaling.width, scaling.height), (number(5), number(6)), "{line}");
        let offset = fields[9].parse::<usize>().ok();
        Self {
            name: line,
            method: Interpolation::from_name(fields[0]),
            kind: fields[1],
            source,
            channels: number(2),
            scaling,
            hash: fields[8],
            stored: offset.map(|at| &RESULTS[at..at + scaling.width * scaling.height * number(2)]),
        }
    }
}

/// The generator of make_expected.py: its `bits` highest bits.
fn noise(count: usize, bits: u32) -> impl Iterator<Item = u16> {
    let mut state = 1u64;
    (0..count).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> (64 - bits)) as u16
    })
}

fn source(kind: &str, (width, height): (usize, usize), channels: usize) -> Raster<u8> {
    let count = width * height * channels;
    let values = match kind {
        "noise" => noise(count, 8).map(|value| value as u8).collect(),
        _ => (0..count)
            .map(|at| {
                let (c, x, y) = (at % channels, at / channels % width, at / channels / width);
                ((x * x + 3 * y * y + 170 * c) / 5 % 256) as u8
            })
            .collect(),
    };
    Raster::new(width, height, channels, values)
}

/// FNV-1a, 64 bits.
fn fnv(bytes: impl Iterator<Item = u8>) -> String {
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

#[test]
fn results_equal_those_of_opencv() {
    let (mut checked, mut wrong) = (0, Vec::new());
    for case in CASES.lines().filter(|line| !line.starts_with('#')).map(Case::parse) {
        let hash = if case.kind == "deep" {
            let values = noise(case.source.0 * case.source.1 * case.channels, 16).collect();
            let source = Raster::new(case.source.0, case.source.1, case.channels, values);
            let result = resize(&source, &case.scaling, case.method).unwrap_or(source);
            fnv(result.values.iter().flat_map(|value| value.to_le_bytes()))
        } else {
            let source = source(case.kind, case.source, case.channels);
            let result = resize(&source, &case.scaling, case.method).unwrap_or(source);
            if let Some(stored) = case.stored {
                assert_eq!(result.values, stored, "{}", case.name);
            }
            fnv(result.values.iter().copied())
        };
        checked += 1;
        if hash != case.hash {
            wrong.push(case.name);
        }
    }
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.join("\n"));
}

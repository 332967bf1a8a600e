//! Equality with OpenCV, on results that `tests/fixtures/opencv/make_expected.py` wrote.

use super::*;
use crate::image::expected::{fnv, noise, source};

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
            let portable = resize_with(&source, &case.scaling, case.method, Vectors::none());
            let result = resize(&source, &case.scaling, case.method);
            assert_eq!(result, portable, "{}", case.name);
            let result = result.unwrap_or(source);
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

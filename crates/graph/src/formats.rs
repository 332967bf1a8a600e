//! Formats of files that are mistaken for weights or networks, told by their first bytes, so that a message can name what was found.

/// What a file is that is none of Caffe's; `None` where its first bytes do not tell.
pub(crate) fn other(bytes: &[u8]) -> Option<&'static str> {
    const STARTS: [(&[u8], &str); 6] = [
        (
            b"\x89HDF\r\n\x1a\n",
            "HDF5, in which Caffe can write weights too: snapshot_format BINARYPROTO writes a caffemodel",
        ),
        (b"version https://git-lfs", "a pointer of Git LFS in place of the file: git lfs pull fetches it"),
        (b"\x1f\x8b", "a gzip archive, expected what is in it"),
        (b"PK\x03\x04", "a zip archive, expected what is in it"),
        (b"\xfd7zXZ", "an xz archive, expected what is in it"),
        (b"\x28\xb5\x2f\xfd", "a zstd archive, expected what is in it"),
    ];
    let start = STARTS.iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, name)| *name);
    start.or_else(|| is_html(bytes).then_some("a page of HTML, as servers send where a file is not there"))
}

fn is_html(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    let begins = |start: &[u8]| text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start));
    begins(b"<!doctype html") || begins(b"<html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_first_bytes() {
        let cases: [(&[u8], Option<&str>); 10] = [
            (b"\x89HDF\r\n\x1a\n\0\0", Some("HDF5")),
            (b"version https://git-lfs.github.com/spec/v1\noid", Some("Git LFS")),
            (b"\x1f\x8b\x08", Some("gzip")),
            (b"PK\x03\x04\0", Some("zip")),
            (b" \n<!DOCTYPE html><html>", Some("HTML")),
            (b"<HTML>", Some("HTML")),
            (b"\x0a\x04iris", None),
            (b"name: 'net'", None),
            (b"<ht", None),
            (b"", None),
        ];
        for (bytes, expected) in cases {
            let found = other(bytes);
            assert_eq!(found.is_some(), expected.is_some(), "{bytes:?}");
            assert!(found.zip(expected).is_none_or(|(found, expected)| found.contains(expected)), "{found:?}");
        }
    }
}

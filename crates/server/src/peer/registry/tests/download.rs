//! Downloads: what is gone on with, what is asked for again, and what is refused.

use std::io::Read as _;

use super::*;

const CONTENT: &[u8] = b"0123456789";

fn blob(content: &[u8]) -> Blob {
    Blob { digest: Digest::of(content), size: content.len() as u64 }
}

/// The place that a request asks from; none where it asks for all.
fn start(asked: &Asked) -> Option<usize> {
    asked
        .header("range")
        .map(|range| range.trim_start_matches("bytes=").trim_end_matches('-').parse().expect("a number"))
}

/// So many bytes of content from a place on, as a part that says that it is one.
fn part(content: &[u8], start: usize, length: usize) -> Vec<u8> {
    let end = content.len().min(start + length);
    let range = format!("Content-Range: bytes {start}-{}/{}", end - 1, content.len());
    reply("206 Partial Content", &[&range], &content[start..end])
}

/// Reads the blob of this content; the outcome, and where it was asked from each time.
fn read(server: &Scripted, content: &[u8], attempts: u32) -> (Result<Vec<u8>, String>, Vec<Option<usize>>) {
    let mut bytes = Vec::new();
    let outcome = server.registry(attempts).blob(blob(content), 0).read_to_end(&mut bytes);
    let outcome = outcome.map(|_| bytes).map_err(|error| error.to_string());
    (outcome, server.asked().iter().map(start).collect())
}

#[test]
fn only_what_is_missing_is_asked_for() {
    let all = reply("200 OK", &[], CONTENT);
    // Breaks off in the head, before the first byte, in the middle and before the last byte.
    for (first, second) in
        [(Vec::new(), None), (cut(all.clone(), 10), None), (cut(all.clone(), 6), Some(4)), (cut(all, 1), Some(9))]
    {
        let mut first = Some(first);
        let server = Scripted::start(move |asked| match (first.take(), start(asked)) {
            (Some(answer), _) => answer,
            (None, Some(start)) => part(CONTENT, start, CONTENT.len()),
            (None, None) => reply("200 OK", &[], CONTENT),
        });
        let (outcome, asked) = read(&server, CONTENT, 3);
        assert_eq!((outcome.as_deref(), asked), (Ok(CONTENT), vec![None, second]));
    }
}

#[test]
fn parts_that_are_shorter_than_asked_for_are_put_together() {
    let content: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
    let expected = content.clone();
    let server = Scripted::start(move |asked| part(&content, start(asked).unwrap_or_default(), 100_000));
    let (outcome, asked) = read(&server, &expected, 3);
    assert!(outcome.expect("it came") == expected);
    assert_eq!(asked.len(), 10);
}

#[test]
fn a_registry_that_gives_byte_by_byte_is_given_up() {
    let content = [7; 1000];
    let server = Scripted::start(move |asked| part(&content, start(asked).unwrap_or_default(), 1));
    let (outcome, asked) = read(&server, &content, 3);
    let reason = outcome.expect_err("given up");
    assert!(reason.contains("broke off after 3 of 1000 bytes") && reason.ends_with("(3 attempts)"), "{reason}");
    assert_eq!(asked, [None, Some(1), Some(2)]);
}

#[test]
fn what_is_not_the_rest_is_refused() {
    let other = format!("Docker-Content-Digest: {}", Digest::of(b"other"));
    let twisted = |range: &str| reply("206 Partial Content", &[&format!("Content-Range: {range}")], b"456789");
    for (answer, expected) in [
        (twisted("bytes 3-8/10"), "bytes 4-9/10 are wanted, and it answers 206 with Content-Range \"bytes 3-8/10\""),
        (twisted("bytes 4-9/11"), "Content-Range \"bytes 4-9/11\""),
        (reply("206 Partial Content", &[], b"456789"), "Content-Range \"\""),
        (reply("200 OK", &[], b"012345678"), "it is something else there: 9 bytes instead of 10"),
        (reply("200 OK", &[], b"0123456789x"), "it is something else there: 11 bytes instead of 10"),
        (reply("200 OK", &[&other], CONTENT), "it is something else there: sha256:"),
        (reply("416 Range Not Satisfiable", &[], b""), "it answers 416"),
        (reply("404 Not Found", &[], b""), "it answers 404"),
    ] {
        let mut first = Some(cut(reply("200 OK", &[], CONTENT), 6));
        let server = Scripted::start(move |_| first.take().unwrap_or_else(|| answer.clone()));
        let (outcome, asked) = read(&server, CONTENT, 5);
        let reason = outcome.expect_err(expected);
        assert!(reason.contains(expected) && reason.contains("downloading"), "{reason}");
        // Who has no such part may have all of it.
        let is_about_parts = expected.contains("Content-Range") || expected.contains("416");
        let expected_starts = if is_about_parts { &[None, Some(4), None][..] } else { &[None, Some(4)] };
        assert_eq!(asked, expected_starts, "once: {expected}");
    }
}

#[test]
fn a_registry_that_gives_no_part_is_asked_for_all_of_it() {
    for refusal in [
        reply("416 Range Not Satisfiable", &[], b""),
        reply("206 Partial Content", &["Content-Range: bytes 3-8/10"], b"345678"),
        reply("206 Partial Content", &[], b"456789"),
    ] {
        let mut is_first = true;
        let server = Scripted::start(move |asked| match start(asked) {
            Some(_) => refusal.clone(),
            None if std::mem::take(&mut is_first) => cut(reply("200 OK", &[], CONTENT), 6),
            None => reply("200 OK", &[], CONTENT),
        });
        let (outcome, asked) = read(&server, CONTENT, 5);
        assert_eq!(outcome.as_deref(), Ok(CONTENT));
        assert_eq!(asked, [None, Some(4), None]);
    }
}

#[test]
fn redirects_are_followed_with_the_range() {
    let mut is_first = true;
    let server = Scripted::start(move |asked| match (asked.path.as_str(), start(asked)) {
        ("/blobs/1", _) => reply("302 Found", &["Location: 2"], b""),
        ("/blobs/2", None) if std::mem::take(&mut is_first) => cut(reply("200 OK", &[], CONTENT), 6),
        ("/blobs/2", Some(start)) => part(CONTENT, start, CONTENT.len()),
        _ => reply("307 Temporary Redirect", &["Location: /blobs/1"], b""),
    });
    let (outcome, asked) = read(&server, CONTENT, 3);
    assert_eq!(outcome.as_deref(), Ok(CONTENT));
    assert_eq!(asked, [None, None, None, Some(4), Some(4), Some(4)], "from the registry on each time");
}

#[test]
fn redirects_that_lead_nowhere_are_refused() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let place = format!("Location: http://{}/", elsewhere.local_addr().expect("bound"));
    for (location, expected, count) in [
        ("Location: /v2/a/blobs/again", "too many redirects", 4),
        (&*place, "the registry keeps its blobs elsewhere without TLS", 1),
        ("Location: ftp://127.0.0.1/", "the registry keeps its blobs elsewhere without TLS", 1),
        ("X-Location: /", "its answer has no Location", 1),
    ] {
        let location = location.to_owned();
        let server = Scripted::start(move |_| reply("307 Temporary Redirect", &[&location], b""));
        let (outcome, asked) = read(&server, CONTENT, 5);
        let reason = outcome.expect_err(expected);
        assert!(reason.contains(expected), "{reason}");
        assert_eq!(asked.len(), count, "{expected}");
    }
    elsewhere.set_nonblocking(true).expect("set");
    assert!(elsewhere.accept().is_err(), "the redirect was followed");
}

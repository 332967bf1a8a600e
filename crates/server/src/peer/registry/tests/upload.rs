//! Uploads, request by request: what follows on each answer that a registry may give.

use super::*;

const CONTENT: &[u8] = b"0123456789";

/// A blob in memory.
struct Memory(Vec<u8>);

impl Source for Memory {
    fn content(&self, offset: u64) -> Box<dyn std::io::Read + '_> {
        Box::new(&self.0[usize::try_from(offset).expect("in memory")..])
    }

    fn moved(&self, _: u64) {}
}

fn blob(content: &[u8]) -> Blob {
    Blob { digest: Digest::of(content), size: content.len() as u64 }
}

/// The method of a request, with the bytes that it says it brings.
fn line(asked: &Asked) -> String {
    let range = asked.header("content-range").map(str::to_owned);
    let length = asked.header("content-length").map(str::to_owned).filter(|_| asked.method == "PUT");
    range.or(length).map_or_else(|| asked.method.clone(), |bytes| format!("{} {bytes}", asked.method))
}

fn begun() -> Vec<u8> {
    reply("202 Accepted", &["Location: /v2/a/blobs/uploads/x"], b"")
}

fn has(range: &str) -> Vec<u8> {
    reply("204 No Content", &[&format!("Range: {range}")], b"")
}

fn took(range: &str) -> Vec<u8> {
    reply("202 Accepted", &[&format!("Range: {range}")], b"")
}

fn status(status: &str) -> Vec<u8> {
    reply(status, &[], b"")
}

/// Requests with their answers, in order.
type Script = Vec<(&'static str, Vec<u8>)>;

/// Pushes to a registry that gives these answers; it must be asked in this order.
fn run(name: &str, content: &[u8], script: Script) -> Result<(), String> {
    let (expected, answers): (Vec<_>, Vec<_>) = script.into_iter().unzip();
    let mut answers = answers.into_iter();
    let server = Scripted::start(move |_| answers.next().unwrap_or_else(|| status("500 Not In The Script")));
    let outcome = server.registry(5).push_blob(blob(content), &Memory(content.to_vec()));
    let asked: Vec<_> = server.asked().iter().map(line).collect();
    assert_eq!(asked, expected, "{name}: {outcome:?}");
    outcome
}

#[test]
fn an_upload_goes_on_by_what_the_registry_says() {
    // The connection breaks when all was sent.
    let broken = |mut rest: Script| {
        let mut script = vec![("POST", begun()), ("PUT 10", Vec::new()), ("GET", Vec::new())];
        script.append(&mut rest);
        script
    };
    let anew = || vec![("POST", begun()), ("PATCH 0-9", took("0-9")), ("PUT 0", status("201 Created"))];
    let done = || ("PUT 0", status("201 Created"));
    let cases: Vec<(&str, Script)> = vec![
        ("the rest", broken(vec![("GET", has("0-3")), ("PATCH 4-9", took("0-9")), done()])),
        (
            "without a Range in the answer",
            broken(vec![("GET", has("0-3")), ("PATCH 4-9", status("202 Accepted")), done()]),
        ),
        ("all is there", broken(vec![("GET", has("0-9")), done()])),
        (
            "a chunk is out of order, and the registry knows where",
            broken(vec![
                ("GET", has("0-3")),
                ("PATCH 4-9", status("416 Out Of Order")),
                ("GET", has("0-5")),
                ("PATCH 6-9", took("0-9")),
                done(),
            ]),
        ),
        (
            "a chunk is out of order where the registry says it begins",
            [
                broken(vec![
                    ("GET", has("0-3")),
                    ("PATCH 4-9", status("416 Out Of Order")),
                    ("GET", has("0-3")),
                    ("DELETE", status("204 No Content")),
                ]),
                anew(),
            ]
            .concat(),
        ),
        ("more than there is", [broken(vec![("GET", has("0-10")), ("DELETE", status("404 Gone"))]), anew()].concat()),
        ("a byte or none: none", broken(vec![("GET", has("0-0")), ("PATCH 0-9", took("0-9")), done()])),
        (
            "a byte or none: a byte",
            [
                broken(vec![
                    ("GET", has("0-0")),
                    ("PATCH 0-9", status("416 Out Of Order")),
                    ("GET", has("0-0")),
                    ("DELETE", status("204 No Content")),
                ]),
                anew(),
            ]
            .concat(),
        ),
        (
            "a chunk is taken in part",
            broken(vec![
                ("GET", has("0-3")),
                ("PATCH 4-9", took("0-5")),
                ("GET", has("0-5")),
                ("PATCH 6-9", took("0-9")),
                done(),
            ]),
        ),
        ("the answer was lost", broken(vec![("GET", status("404 Not Found")), ("HEAD", status("200 OK"))])),
        (
            "the upload was forgotten",
            [broken(vec![("GET", status("404 Not Found")), ("HEAD", status("404 Not Found"))]), anew()].concat(),
        ),
        ("the state is not told", [broken(vec![("GET", status("405 Not Allowed"))]), anew()].concat()),
    ];
    std::thread::scope(|scope| {
        for (name, script) in cases {
            scope.spawn(move || run(name, CONTENT, script).expect(name));
        }
    });
}

#[test]
fn a_chunk_of_one_byte_is_there_when_the_registry_has_a_byte() {
    let script = vec![
        ("POST", begun()),
        ("PUT 1", Vec::new()),
        ("GET", has("0-0")),
        ("PATCH 0-0", took("0-0")),
        ("PUT 0", status("201 Created")),
    ];
    run("a single byte", b"x", script).expect("pushed");
}

#[test]
fn what_cannot_be_true_ends_the_upload() {
    for (answer, expected) in
        [(took("0-10"), "it has 11 bytes, of which 10 were sent"), (took("4-9"), "Range: 0-<last>")]
    {
        let script = vec![("POST", begun()), ("PUT 10", Vec::new()), ("GET", has("0-3")), ("PATCH 4-9", answer)];
        let reason = run("a lie", CONTENT, script).expect_err("refused");
        assert!(reason.contains(expected) && reason.contains("uploading"), "{reason}");
    }
}

#[test]
fn a_registry_that_takes_byte_by_byte_is_given_up() {
    let mut taken = 0;
    let server = Scripted::start(move |asked| match asked.method.as_str() {
        "POST" => begun(),
        "PUT" => Vec::new(),
        "PATCH" => {
            taken += 1;
            took(&format!("0-{taken}"))
        }
        _ => has(&format!("0-{taken}")),
    });
    let reason = server.registry(3).push_blob(blob(&[7; 1000]), &Memory(vec![7; 1000])).expect_err("given up");
    assert!(reason.contains("it took 1 of the 998 bytes 2-999 (3 attempts)"), "{reason}");
}

#[test]
fn chunks_are_as_large_as_the_registry_wants_them() {
    const MIB: usize = 1 << 20;
    let content = vec![7; 35 * MIB];
    for (header, expected) in [
        (format!("OCI-Chunk-Min-Length: {}", 17 * MIB), 17 * MIB),
        ("OCI-Chunk-Min-Length: 1000".to_owned(), 16 * MIB),
        ("OCI-Chunk-Min-Length: many".to_owned(), 16 * MIB),
    ] {
        let server = Scripted::start(move |asked| match (asked.method.as_str(), asked.length) {
            ("POST", _) => reply("202 Accepted", &["Location: /v2/a/blobs/uploads/x", &header], b""),
            ("PUT", 1..) => Vec::new(),
            ("PUT", 0) => status("201 Created"),
            ("PATCH", _) => status("202 Accepted"),
            _ => has("0-0"),
        });
        server.registry(3).push_blob(blob(&content), &Memory(content.clone())).expect("pushed");
        let chunks: Vec<_> =
            server.asked().iter().filter(|asked| asked.method == "PATCH").map(|one| one.length).collect();
        assert_eq!(chunks, [expected, expected, 35 * MIB - 2 * expected]);
    }
}

#[test]
fn an_upload_goes_where_the_answers_lead() {
    let server = Scripted::start(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", _) => begun(),
        ("GET", "/v2/a/blobs/uploads/x") => {
            reply("204 None", &["Range: 0-3", "Location: /v2/a/blobs/uploads/y?s=1"], b"")
        }
        ("PATCH", "/v2/a/blobs/uploads/y?s=1") => reply("202 Accepted", &["Location: z?s=2"], b""),
        ("PUT", path) if path.starts_with("/v2/a/blobs/uploads/z?s=2&digest=sha256") => status("201 Created"),
        _ => Vec::new(),
    });
    server.registry(3).push_blob(blob(CONTENT), &Memory(CONTENT.to_vec())).expect("pushed");
}

//! Requests that are neither uploads nor downloads: answers that break off, tokens, and manifests that are something else.

use super::*;

const TYPE: &str = "Content-Type: application/vnd.oci.image.manifest.v1+json";

fn manifest(server: &Scripted) -> Result<Vec<u8>, String> {
    let found = server.registry(3).manifest(&"v1".parse().expect("a tag"))?;
    Ok(found.expect("it is there").1)
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again() {
    let whole = reply("200 OK", &[TYPE], b"{\"a\": 1}");
    for missing in [whole.len(), 40, 8, 1] {
        let (whole, mut is_first) = (whole.clone(), true);
        let server = Scripted::start(move |_| {
            let missing = if std::mem::take(&mut is_first) { missing } else { 0 };
            cut(whole.clone(), missing)
        });
        assert_eq!(manifest(&server).as_deref(), Ok(&b"{\"a\": 1}"[..]), "{missing}");
        assert_eq!(server.asked().len(), 2, "{missing}");
    }
}

#[test]
fn a_manifest_is_what_the_answer_says_it_is() {
    for (digest, expected) in [(Digest::of(b"{}"), None), (Digest::of(b"other"), Some("it is something else there"))] {
        let header = format!("Docker-Content-Digest: {digest}");
        let server = Scripted::start(move |_| reply("200 OK", &[TYPE, &header], b"{}"));
        let outcome = manifest(&server);
        assert_eq!(outcome.is_err(), expected.is_some(), "{outcome:?}");
        let reason = outcome.err().unwrap_or_default();
        assert!(reason.contains(expected.unwrap_or_default()), "{reason}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn tokens_are_fetched_again_where_their_answer_breaks_off_and_where_they_run_out() {
    const TOKEN: &[u8] = br#"{"token": "a"}"#;
    let (mut tokens, mut manifests) = (0, 0);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{address}/token\",service=\"x\"");
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Some(asked) = Asked::read(&mut stream) else { continue };
            let path = asked.path.split('?').next().unwrap_or_default().to_owned();
            let bytes = match path.as_str() {
                "/v2/" => reply("401 Unauthorized", &[&challenge], b""),
                "/token" => {
                    tokens += 1;
                    // The first and the third one break off: once at the beginning, once for a token that ran out.
                    cut(reply("200 OK", &[], TOKEN), if tokens % 2 == 1 { 5 } else { 0 })
                }
                _ => {
                    manifests += 1;
                    match manifests {
                        2 | 3 => reply("401 Unauthorized", &[&challenge], b""),
                        _ => reply("200 OK", &[TYPE], b"{}"),
                    }
                }
            };
            seen.lock().expect("no panic").push(path);
            let _ = stream.write_all(&bytes);
        }
    });
    let server = Scripted { address, asked: Arc::default() };
    let registry = server.registry(4);
    let reference = "v1".parse().expect("a tag");
    for _ in 0..2 {
        assert!(registry.manifest(&reference).expect("served").is_some());
    }
    let asked = asked.lock().expect("no panic").join(" ");
    let path = "/v2/a/manifests/v1";
    assert_eq!(asked, format!("/v2/ /token /token {path} {path} /token {path} /token {path}"));
}

#[test]
fn what_is_not_there_is_asked_once() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound");
    let began = std::time::Instant::now();
    let reason = Scripted { address: closed, asked: Arc::default() }.connect(8).err().expect("nothing listens");
    assert!(reason.contains("refused") && reason.ends_with("(1 attempt)"), "{reason}");
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}

//! Files of the server that a guest names in a request: none of them is read, and nothing tells whether it is there.

use dede_testing::http::Connection;
use serde_json::{Value, json};

use super::honest::Honest;
use crate::models::{Models, predict_body, put_service};
use crate::server::Server;

const TOKEN: &str = "t0ken-of-the-owner";
/// What no guest may ever see.
const SECRET: &str = "s3cret-9f2c";

/// A request with or without the token.
fn send(server: &Server, method: &str, path: &str, body: &Value, is_owner: bool) -> (u16, String) {
    let body = body.to_string();
    let authorization = if is_owner { format!("Authorization: Bearer {TOKEN}\r\n") } else { String::new() };
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Length: {}\r\n\r\n", body.len());
    let answer =
        Connection::open(server.address).unwrap().exchange(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

/// A server with a token, a csv service, a file that no guest may see, and one in a directory for data.
struct Stage {
    server: Server,
    inputs: Vec<String>,
}

impl Stage {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["data", "private"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        let token = directory.path().join("private/token");
        std::fs::write(&token, TOKEN).unwrap();
        let data = directory.path().join("data");
        let (data, token) = (data.to_str().unwrap().to_owned(), token.to_str().unwrap().to_owned());
        let models = Models::get();
        models.versions[0].write(&directory.path().join("model"));
        let server = Server::start_in(directory, &["--token-file", &token, "--data-root", &data]);
        let stage = Self { server, inputs: models.inputs.clone() };
        let body = json!({
            "mllib": "caffe", "description": "", "type": "supervised", "model": {"repository": stage.path("model")},
            "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}}});
        let (status, answer) = send(&stage.server, "PUT", "/services/iris", &body, true);
        assert_eq!(status, 201, "{answer}");
        let row = format!("sl,sw,pl,pw\n{}\n", stage.inputs[0]);
        std::fs::write(stage.path("data/rows.csv"), &row).unwrap();
        std::fs::write(stage.path("private/rows.csv"), &row).unwrap();
        std::fs::write(stage.path("private/secret"), format!("{SECRET},{SECRET}\n1,2\n")).unwrap();
        std::os::unix::fs::symlink(stage.path("private/secret"), stage.path("data/link")).unwrap();
        stage
    }

    fn path(&self, name: &str) -> String {
        self.server.path().join(name).to_str().unwrap().to_owned()
    }

    fn ask(&self, data: &Value, input: &Value, is_owner: bool) -> (u16, String) {
        let body = json!({"service": "iris", "data": data, "parameters": {"input": input, "output": {"best": 1}}});
        send(&self.server, "POST", "/predict", &body, is_owner)
    }
}

#[test]
fn a_guest_reads_no_file_and_learns_of_none() {
    let stage = Stage::new();
    let _honest = Honest::beside(&stage.server);
    let inputs = [
        json!({}),
        json!({"id": SECRET}),
        json!({"separator": "\n"}),
        json!({"quote": "s"}),
        json!({"label": SECRET, "ignore": [SECRET]}),
    ];
    for input in &inputs {
        for (there, missing) in [("private/secret", "private/absent"), ("private", "absent")] {
            for scheme in ["", "file://"] {
                let name = |place: &str| format!("{scheme}{}", stage.path(place));
                let outcomes = [there, missing].map(|place| {
                    let (status, answer) = stage.ask(&json!([name(place)]), input, false);
                    assert!(!answer.contains(SECRET) || input.to_string().contains(SECRET), "{place}: {answer}");
                    assert!(status == 400, "{place}: {status} {answer}");
                    answer.replace(&name(place), "<it>")
                });
                assert_eq!(outcomes[0], outcomes[1], "{scheme}{there} is told from {missing}");
            }
        }
    }
    for trick in
        ["data/link", "data/../private/secret", "data/./../private/secret", "/proc/self/environ", "/dev/stdin", "."]
    {
        let name = if trick.starts_with('/') { trick.to_owned() } else { stage.path(trick) };
        let (status, answer) = stage.ask(&json!([name]), &json!({}), false);
        assert!(status == 400 && !answer.contains(SECRET), "{trick}: {status} {answer}");
    }
}

/// The owner may read it; what its errors say goes to logs and dashboards that others read.
#[test]
fn no_error_repeats_what_a_file_holds() {
    let stage = Stage::new();
    let _honest = Honest::beside(&stage.server);
    let known = "sl,sw,pl,pw";
    let contents = [
        format!("{SECRET}\n"),
        format!("{SECRET},{SECRET}\n1,2\n"),
        format!("{known}\n1,2,3,{SECRET}\n"),
        format!("{known}\n1,2,3\n"),
        format!("{known},{SECRET}\n1,2,3,4,5\n"),
        format!("sl,sw,pl,{SECRET}\n1,2,3,4\n"),
        format!("sl,sl,{SECRET}\n1,2,3\n"),
        format!("a,b,c,{SECRET}\n{SECRET},1,2,3\n"),
        format!("a,{SECRET},c,d\n1,{SECRET},2,3\n"),
        format!("a,{SECRET},c,d\n1,\"\"\"{SECRET}\n"),
    ];
    let body = json!({
        "mllib": "caffe", "description": "", "type": "supervised",
        "model": {"repository": stage.path("trained"), "create_repository": true},
        "parameters": {"input": {"connector": "csv"}, "mllib": {"template": "mlp", "nclasses": 3, "layers": [4]}}});
    assert_eq!(send(&stage.server, "PUT", "/services/trained", &body, true).0, 201);
    for content in contents {
        std::fs::write(stage.path("private/table.csv"), &content).unwrap();
        for input in [
            json!({}),
            json!({"id": "sl"}),
            json!({"label": "a", "ignore": ["b"]}),
            json!({"quote": "s", "separator": "-"}),
            json!({"categoricals": ["a"], "categoricals_mapping": {"a": {"x": 0}}}),
        ] {
            let (status, answer) = stage.ask(&json!([stage.path("private/table.csv")]), &input, true);
            assert!(status == 200 || !answer.contains("9f2c"), "{content:?} {input}: {answer}");
            let train = json!({"service": "trained", "async": false, "data": [stage.path("private/table.csv")],
                "parameters": {"input": input, "mllib": {"solver": {"iterations": 1}}}});
            let (_, answer) = send(&stage.server, "POST", "/train", &train, true);
            assert!(!answer.contains("9f2c"), "{content:?} {input}: {answer}");
        }
    }
    std::fs::write(stage.path("private/list.txt"), format!("{SECRET} one {SECRET}\n")).unwrap();
    let body = json!({
        "mllib": "caffe", "description": "", "type": "supervised",
        "model": {"repository": stage.path("pictures"), "create_repository": true},
        "parameters": {"input": {"connector": "image", "width": 8, "height": 8},
            "mllib": {"template": "mlp", "nclasses": 2, "layers": [4]}}});
    assert_eq!(send(&stage.server, "PUT", "/services/pictures", &body, true).0, 201);
    for content in [format!("{SECRET} one {SECRET}\n"), format!("/{SECRET}.png 1\n")] {
        std::fs::write(stage.path("private/list.txt"), &content).unwrap();
        let train = json!({"service": "pictures", "async": false, "data": [stage.path("private/list.txt")]});
        let (status, answer) = send(&stage.server, "POST", "/train", &train, true);
        assert!(status == 400 && !answer.contains("9f2c"), "{content:?}: {answer}");
    }
}

/// What a client sent is repeated only as far as it takes to know it again.
#[test]
fn errors_repeat_little_of_what_was_sent() {
    let stage = Stage::new();
    let _honest = Honest::beside(&stage.server);
    let long = "x".repeat(1 << 20);
    let names = vec!["a-name"; 100_000].join(",");
    for (data, input) in [
        (json!([long]), json!({})),
        (json!([format!("1,2,3,{long}")]), json!({})),
        (json!([format!("{names}\n1")]), json!({"id": "a-name"})),
        (json!([names, "1"]), json!({"id": "a-name"})),
        (json!([format!("http://127.0.0.1:1/{long}")]), json!({})),
        (json!([format!("file:///{long}")]), json!({})),
        (json!(["1,2,3,4"]), json!({"separator": long})),
        (json!(["1,2,3,4"]), json!({"scale": long})),
        (json!(["1,2,3,4"]), json!({"id": long})),
        (json!(["1,2,3,4"]), json!({long.clone(): {"a": "b"}, "test_split": long})),
        (json!(["a,b,c,d", "1,2,3,4"]), json!({"categoricals": [long]})),
    ] {
        let (status, answer) = stage.ask(&data, &input, true);
        assert!(answer.len() < 4096, "{status}, {} bytes: {}", answer.len(), &answer[..200]);
        let repeated = answer.split(|c| c != 'x').map(str::len).max().unwrap();
        assert!(repeated <= 64, "{repeated} characters: {}", &answer[..answer.len().min(300)]);
    }
    for output in [json!({"template": format!("{{{{#{long}}}}}")}), json!({"measure": [long]}), json!({"best": long})] {
        let body = json!({"service": "iris", "data": ["1,2,3,4"], "parameters": {"output": output}});
        let (status, answer) = send(&stage.server, "POST", "/predict", &body, true);
        assert!(status == 400 && answer.len() < 4096, "{status}, {} bytes", answer.len());
        let repeated = answer.split(|c| c != 'x').map(str::len).max().unwrap();
        assert!(repeated <= 64, "{repeated} characters: {}", &answer[..answer.len().min(300)]);
    }
}

#[test]
fn the_owner_reads_what_it_names_and_a_guest_what_is_for_all() {
    let stage = Stage::new();
    let _honest = Honest::beside(&stage.server);
    for (place, is_owner) in [("private/rows.csv", true), ("data/rows.csv", true), ("data/rows.csv", false)] {
        for scheme in ["", "file://"] {
            let (status, answer) = stage.ask(&json!([format!("{scheme}{}", stage.path(place))]), &json!({}), is_owner);
            assert_eq!(status, 200, "{scheme}{place}: {answer}");
        }
    }
    assert_eq!(stage.ask(&json!([stage.inputs[0]]), &json!({}), false).0, 200);
    // Without a token, on loopback, everything is as in the original.
    let (open, models) = (Server::start(&[]), Models::get());
    models.versions[0].write(&open.path().join("model"));
    put_service(&open, "iris", &open.path().join("model"));
    assert_eq!(open.post("/predict", &predict_body("iris", &stage.path("private/rows.csv"))).0, 200);
    // Unless the request came through a server that knew its client for a guest.
    let forwarded = predict_body("iris", &stage.path("private/rows.csv")).to_string();
    let head = format!(
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nx-dede-guest: 1\r\nContent-Length: {}\r\n\r\n",
        forwarded.len()
    );
    let answer = Connection::open(open.address).unwrap().exchange(&[head.as_bytes(), forwarded.as_bytes()].concat());
    assert_eq!(answer.unwrap().status, 400);
}

/// The peer trusts the server that asks it, and must not trust its guests.
#[test]
fn a_guest_reads_no_file_of_a_peer() {
    let peer = Stage::new();
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    std::fs::create_dir_all(directory.path().join("config/dede")).unwrap();
    let front = Server::start_with_peers(&[("peer", &peer.server.url())], &["--token-file", token.to_str().unwrap()]);
    let _honest = Honest::beside(&front);
    let forwards = json!({"peer": "peer", "service": "iris"});
    let (status, answer) = send(&front, "PUT", "/aliases/there", &forwards, true);
    assert_eq!(status, 200, "{answer}");
    for place in ["private/rows.csv", "private/secret"] {
        let body = predict_body("there", &peer.path(place));
        let (status, answer) = send(&front, "POST", "/predict", &body, false);
        assert!(status == 400 && !answer.contains(SECRET), "{place}: {status} {answer}");
    }
    let (status, answer) = send(&front, "POST", "/predict", &predict_body("there", &peer.path("data/rows.csv")), false);
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn a_guest_has_no_answer_sent_anywhere() {
    let stage = Stage::new();
    let _honest = Honest::beside(&stage.server);
    let network = json!({"url": format!("http://{}/services/iris", stage.server.address), "http_method": "POST"});
    let body = json!({"service": "iris", "data": [stage.inputs[0]], "parameters": {"output": {"network": network}}});
    let (status, answer) = send(&stage.server, "POST", "/predict", &body, false);
    assert!(status == 403 && answer.contains("without its token"), "{status} {answer}");
}

/// Under any of its addresses, with any method: its routes are not for what a request names.
#[test]
fn a_server_never_calls_itself() {
    let (server, models) = (Server::start(&[]), Models::get());
    let _honest = Honest::beside(&server);
    models.versions[0].write(&server.path().join("model"));
    put_service(&server, "iris", &server.path().join("model"));
    let port = server.address.port();
    for host in ["127.0.0.1", "localhost", "0.0.0.0", "127.1", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"] {
        let url = format!("http://{host}:{port}/aliases/mine");
        let mut body = predict_body("iris", &models.inputs[0]);
        body["parameters"]["output"]["network"] = json!({"url": url, "http_method": "PUT"});
        let (status, answer) = server.post("/predict", &body);
        assert!(status == 404 && answer["status"]["dd_code"] == 1009, "{host}: {status} {answer}");
        let (status, answer) = server.post("/predict", &predict_body("iris", &format!("http://{host}:{port}/info")));
        assert!(status == 400 && answer.to_string().contains("--allow-fetch"), "{host}: {status} {answer}");
    }
    assert_eq!(server.get("/aliases/mine").0, 404);
}

/// A BMP of two by two pixels.
fn picture() -> Vec<u8> {
    let number = |value: u32| value.to_le_bytes();
    let head = [b"BM".as_slice(), &number(70), &number(0), &number(54)].concat();
    let size = [number(40), number(2), number(2), [1, 0, 24, 0], number(0), number(16)].concat();
    let rows = [[10, 20, 30, 40, 50, 60, 0, 0], [70, 80, 90, 100, 110, 120, 0, 0]].concat();
    [head, size, vec![0; 16], rows].concat()
}

#[test]
fn images_are_files_too() {
    let stage = Stage::new();
    let _honest = Honest::beside(&stage.server);
    let body = json!({
        "mllib": "caffe", "description": "", "type": "supervised",
        "model": {"repository": stage.path("images"), "create_repository": true},
        "parameters": {"input": {"connector": "image", "width": 8, "height": 8},
            "mllib": {"template": "mlp", "nclasses": 2, "layers": [4]}}});
    let (status, answer) = send(&stage.server, "PUT", "/services/images", &body, true);
    assert_eq!(status, 201, "{answer}");
    for class in ["private/pictures/a", "private/pictures/b"] {
        std::fs::create_dir_all(stage.path(class)).unwrap();
        std::fs::write(stage.path(&format!("{class}/one.bmp")), picture()).unwrap();
    }
    let train = json!({"service": "images", "async": false, "data": [stage.path("private/pictures")], "parameters": {
        "mllib": {"solver": {"iterations": 2, "base_lr": 0.01}, "net": {"batch_size": 2}}}});
    let (status, answer) = send(&stage.server, "POST", "/train", &train, true);
    assert_eq!(status, 201, "{answer}");
    for place in ["private/pictures/a/one.bmp", "private/pictures", "private/pictures/a"] {
        let body = json!({"service": "images", "data": [stage.path(place)], "parameters": {}});
        let (status, _) = send(&stage.server, "POST", "/predict", &body, true);
        assert_eq!(status, 200, "{place}");
        let outcomes = [place, "private/absent"].map(|place| {
            let body = json!({"service": "images", "data": [stage.path(place)], "parameters": {}});
            let (status, answer) = send(&stage.server, "POST", "/predict", &body, false);
            assert_eq!(status, 400, "{place}: {answer}");
            answer.replace(&stage.path(place), "<it>")
        });
        assert_eq!(outcomes[0], outcomes[1]);
    }
}

//! Requests that would compute for ever: answered within their bound, and nothing else waits for them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::models::{Models, predict_body, put_service};
use crate::server::Server;

/// Longest time of an answer, on a machine with other work.
const LONGEST: Duration = Duration::from_secs(30);

fn serving() -> (Server, Vec<String>) {
    let (server, models) = (Server::start(&[]), Models::get());
    let repository = server.path().join("model");
    models.versions[0].write(&repository);
    put_service(&server, "iris", &repository);
    (server, models.inputs.clone())
}

/// Ten rows, and a template whose sections multiply.
fn with_template(inputs: &[String], template: String) -> Value {
    let mut body = predict_body("iris", &inputs[0]);
    body["data"] = json!(inputs.iter().cycle().take(10).collect::<Vec<_>>());
    body["parameters"]["output"]["template"] = template.into();
    body
}

#[test]
fn templates_that_multiply_end_and_stop_no_other_request() {
    let (server, inputs) = serving();
    let nested = |open: &str, inside: &str, close: &str| format!("{}{inside}{}", open.repeat(40), close.repeat(40));
    let list = "{{#body}}{{#predictions}}";
    let end = "{{/predictions}}{{/body}}";
    let templates = [
        format!("{list}{}{end}", nested("{{#predictions}}", "", "{{/predictions}}")),
        format!("{list}{}{end}", nested("{{#classes}}", "{{cat}}", "{{/classes}}")),
        format!("{list}{}{end}", nested("{{#body.predictions}}", "{{^none}}{{/none}}", "{{/body.predictions}}")),
        format!(
            "{list}{}{end}",
            nested("{{#predictions}}", &format!("{{{{x{}}}}}", ".y".repeat(500)), "{{/predictions}}")
        ),
    ];
    // Two are as many as there are threads for connections on a small machine; each comes twice.
    std::thread::scope(|scope| {
        let bombs: Vec<_> = templates
            .iter()
            .chain(&templates)
            .map(|template| {
                let (server, body) = (&server, with_template(&inputs, template.clone()));
                scope.spawn(move || {
                    let began = Instant::now();
                    (server.post("/predict", &body), began.elapsed())
                })
            })
            .collect();
        let (mut asked, mut slowest) = (0, Duration::ZERO);
        while asked < 20 || bombs.iter().any(|bomb| !bomb.is_finished()) {
            let began = Instant::now();
            assert_eq!(server.get("/info").0, 200);
            slowest = slowest.max(began.elapsed());
            asked += 1;
        }
        assert!(slowest < Duration::from_secs(10), "an answer took {slowest:?} meanwhile");
        for bomb in bombs {
            let ((status, answer), took) = bomb.join().unwrap();
            assert!(took < LONGEST, "{took:?}: {answer}");
            assert!(status == 400 && answer.to_string().contains("steps"), "{status}: {answer}");
        }
    });
    assert_eq!(server.post("/predict", &predict_body("iris", &inputs[0])).0, 200);
}

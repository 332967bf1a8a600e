//! `dede demo`: the main job end to end on real data, with real processes and clients that never pause.
//!
//! It owns the story and what is printed. It uses the server only as a client would, over HTTP; it must not know core, connectors or
//! backends.

mod api;
mod digits;
mod load;
mod process;
mod report;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use api::Api;
use digits::Digits;
use load::{Load, Phase};
use process::Server;

/// Anything that ends the demo early: said once, by `main`.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Clients that call production without a pause.
const CLIENTS: usize = 4;
/// Requests that must be answered in each phase before the story goes on, so that p99 means something.
const REQUESTS_PER_PHASE: u64 = 2_000;

/// Runs the demo; `Ok` means that no request failed.
///
/// # Errors
/// What went wrong, in words; also when a request failed.
pub(crate) fn run() -> Result<(), Failure> {
    let started = Instant::now();
    let directory = tempfile::Builder::new().prefix("dede-demo-").tempdir()?;
    let digits = Digits::write(directory.path())?;
    report::title();
    let development = Server::start("development", directory.path())?;
    let production = Server::start("production", directory.path())?;
    report::step(1, "two servers");
    report::fact("development", &development.url);
    report::fact("production", &production.url);

    report::step(2, &format!("the model in service: linear, {} handwritten digits", digits.training_rows));
    let first = directory.path().join("development").join("linear");
    train(&development.api, "linear", &first, &json!({"template": "lregression", "nclasses": 10}), &digits, 300)?;
    let in_service = directory.path().join("production").join("service1");
    copy_directory(&first, &in_service)?;
    production.api.put_service("service1", &in_service)?;
    let load = Load::start(&production.url, "service1", &digits, CLIENTS)?;
    report::fact("clients", &format!("{CLIENTS}, calling service1 on production from now on, without a pause"));

    report::step(3, "development trains the next model");
    let second = directory.path().join("development").join("service1");
    let network = json!({"template": "mlp", "layers": [128, 64], "activation": "relu", "nclasses": 10});
    train(&development.api, "service1", &second, &network, &digits, 1_500)?;
    load.wait_for(REQUESTS_PER_PHASE);

    load.enter(Phase::During);
    report::step(4, "the move, as the manual says");
    let next = directory.path().join("production").join("service2");
    let bytes = copy_directory(&second, &next)?;
    report::fact("copy", &format!("the repository directory, {} kB, and nothing else", bytes / 1000));
    let took = timed(|| production.api.put_service("service2", &next))?;
    report::fact(
        "PUT /services/service2",
        &format!("without template parameters: loaded and warm in {} ms", took.as_millis()),
    );
    let old = production.api.classify("service1", &digits)?;
    let new = production.api.classify("service2", &digits)?;
    report::fact("compare", &comparison(&old, &new, &digits));
    let took = timed(|| production.api.take_over("service1", "service2"))?;
    report::fact("PUT /aliases/service1", &format!("now service2, in {:.1} ms", took.as_secs_f64() * 1000.0));
    let former = production.api.former_target("service1")?;
    production.api.delete_service(&former)?;
    report::fact("DELETE", &format!("/services/{former}"));
    load.wait_for(REQUESTS_PER_PHASE);

    load.enter(Phase::After);
    load.wait_for(REQUESTS_PER_PHASE);
    let figures = load.stop();
    development.stop()?;
    production.stop()?;
    report::table(&figures, digits.accuracy(&old), digits.accuracy(&new), started.elapsed());
    figures.check()
}

/// Creates a service on an empty repository and trains it, showing live figures.
fn train(
    api: &Api,
    name: &str,
    repository: &Path,
    network: &Value,
    digits: &Digits,
    iterations: u64,
) -> Result<(), Failure> {
    api.put(
        &format!("/services/{name}"),
        &json!({
            "mllib": "caffe",
            "description": "handwritten digits",
            "type": "supervised",
            "parameters": {"input": {"connector": "csv"}, "mllib": network},
            "model": {"repository": repository, "create_repository": true},
        }),
    )?;
    let answer = api.post("/train", &json!({
        "service": name,
        "async": true,
        "parameters": {
            "input": {"id": "id", "label": "target", "scale": true, "shuffle": true, "seed": 7},
            "mllib": {
                "solver": {
                    "iterations": iterations, "test_interval": iterations / 10, "base_lr": 0.01, "solver_type": "ADAM",
                },
                "net": {"batch_size": 64},
                "seed": 7,
            },
            "output": {"measure": ["acc", "mcll", "f1"]},
        },
        "data": [digits.training_file, digits.test_file],
    }))?;
    let job = answer["head"]["job"].as_u64().ok_or("the train answer names no job")?;
    watch(api, name, job, iterations)
}

/// Follows a training to its end.
fn watch(api: &Api, name: &str, job: u64, iterations: u64) -> Result<(), Failure> {
    let bar = ProgressBar::new(iterations);
    let style = ProgressStyle::with_template("   {bar:30} {pos:>5}/{len} iterations  {msg}")?;
    bar.set_style(style);
    loop {
        // The server answers when the job ends or after a second: no pause is needed here.
        let answer = api.get(&format!("/train?service={name}&job={job}&timeout=1"))?;
        let measure = &answer["body"]["measure"];
        let figure = |key: &str| measure[key].as_f64();
        bar.set_position(figure("iteration").map_or(0, |iteration| iteration as u64 + 1));
        let loss = figure("train_loss").map_or_else(String::new, |loss| format!("loss {loss:.4}"));
        let accuracy = figure("acc").map_or_else(String::new, |acc| format!("  test accuracy {:.1} %", acc * 100.0));
        bar.set_message(format!("{loss}{accuracy}"));
        match answer["head"]["status"].as_str() {
            Some("running") => {}
            Some("finished") => {
                bar.finish_and_clear();
                report::fact("trained", &format!("{iterations} iterations  {loss}{accuracy}"));
                return Ok(());
            }
            _ => return Err(format!("training of {name} ended as {answer}").into()),
        }
    }
}

fn comparison(old: &[String], new: &[String], digits: &Digits) -> String {
    let same = old.iter().zip(new).filter(|(a, b)| a == b).count();
    format!(
        "{} test digits on both: they agree on {:.1} %; accuracy {:.1} % before, {:.1} % now",
        old.len(),
        100.0 * same as f64 / old.len() as f64,
        100.0 * digits.accuracy(old),
        100.0 * digits.accuracy(new),
    )
}

/// Copies a directory tree, as `cp -r` does; returns the bytes copied.
fn copy_directory(from: &Path, to: &Path) -> Result<u64, Failure> {
    fs::create_dir_all(to)?;
    let mut bytes = 0;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        bytes += if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?
        } else {
            fs::copy(entry.path(), target)?
        };
    }
    Ok(bytes)
}

fn timed(work: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed())
}

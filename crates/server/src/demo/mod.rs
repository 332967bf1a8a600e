//! `dede demo`: the main job end to end on real data, with real processes and clients that never pause.
//!
//! It owns the sequence of steps and what is printed. It uses the server only as a client would, over HTTP; it must not
//! know core, connectors or backends.

mod api;
mod digits;
mod load;
mod process;
mod report;

use std::fs;
use std::path::Path;
use std::time::Instant;

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

/// The command as an operator would type it, with times that suit a demo.
const MOVE: [&str; 13] = [
    "move",
    "service2",
    "--from",
    "development",
    "--to",
    "production",
    "--as",
    "service1",
    "--auto",
    "--shadow-for",
    "5s",
    "--watch-for",
    "3s",
];

/// Runs the demo; `Ok` means that no request failed.
///
/// # Errors
/// What went wrong, in words; also when a request failed.
pub(crate) fn run() -> Result<(), Failure> {
    let started = Instant::now();
    let directory = tempfile::Builder::new().prefix("dede-demo-").tempdir()?;
    let digits = Digits::write(directory.path())?;
    report::title();
    let config = directory.path().join("dede.toml");
    process::write_peers(&config, &[])?;
    let development = Server::start("development", directory.path(), &config)?;
    process::write_peers(&config, &[&development])?;
    // Production must know the peer that services come from; development needs to know none.
    let production = Server::start("production", directory.path(), &config)?;
    process::write_peers(&config, &[&development, &production])?;
    report::step(1, "two servers, which the configuration file names");
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
    let second = directory.path().join("development").join("service2");
    let network = json!({"template": "mlp", "layers": [128, 64], "activation": "relu", "nclasses": 10});
    train(&development.api, "service2", &second, &network, &digits, 1_500)?;
    load.wait_for(REQUESTS_PER_PHASE);

    let old = production.api.classify("service1", &digits)?;

    load.enter(Phase::During);
    report::step(4, &format!("$ dede {}\n", MOVE.join(" ")));
    process::command(&MOVE, &config)?;

    load.enter(Phase::After);
    load.wait_for(REQUESTS_PER_PHASE);
    let figures = load.stop();
    let new = production.api.classify("service1", &digits)?;
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

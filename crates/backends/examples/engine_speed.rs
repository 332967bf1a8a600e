//! Speed of a served network without HTTP and without decoding: `engine_speed REPOSITORY [--engine NAME] [--callers N]
//! [--batch N] [--seconds N]`.
//!
//! Prints images/s, milliseconds of CPU per image and the memory of the process. The repository is one of Caffe or ONNX for
//! images; `make-network` of dede-testing writes one with random weights.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dede_backends::neural::caffe::Caffe;
use dede_backends::neural::onnx::Onnx;
use dede_model::backend::{Backend, EngineOptions, Model, OpenRequest, PredictOptions, ServiceType};
use dede_model::data::{DataKind, Image, Normalization, Pixels, SampleShape, Samples};
use dede_model::parameters::Section;
use dede_model::repository::Repository;
use dede_model::request_memory::MemoryShare;
use dede_model::tensor::Floats;

/// What to measure.
struct Arguments {
    repository: PathBuf,
    engine: Option<String>,
    threads: usize,
    callers: Vec<usize>,
    batch: usize,
    seconds: u64,
}

impl Arguments {
    fn parse() -> Result<Self, String> {
        let mut words = std::env::args().skip(1);
        let mut parsed = Self {
            repository: words.next().ok_or("a repository expected")?.into(),
            engine: None,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            callers: vec![1, 2, 8],
            batch: 1,
            seconds: 4,
        };
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("a value after {name} expected"))?;
            let number = || value.parse::<usize>().map_err(|error| format!("{name} {value}: {error}"));
            match name.as_str() {
                "--engine" => parsed.engine = Some(value),
                "--threads" => parsed.threads = number()?,
                "--callers" => parsed.callers = vec![number()?],
                "--batch" => parsed.batch = number()?,
                "--seconds" => parsed.seconds = number()? as u64,
                _ => return Err(format!("unknown argument {name}")),
            }
        }
        Ok(parsed)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse()?;
    let started = Instant::now();
    let model = open(&arguments)?;
    let description = model.description();
    say(&format!(
        "{} on {}, loaded and warm in {} ms, {} MB",
        description.weights,
        description.engine,
        started.elapsed().as_millis(),
        memory_mb("VmRSS:")
    ));
    let shape = description.shape.ok_or("the network takes tensors alone")?;
    let samples = samples(shape, arguments.batch);
    for &callers in &arguments.callers {
        let (items, cpu) = run(model.as_ref(), &samples, callers, Duration::from_secs(arguments.seconds))?;
        let per_second = items as f64 / arguments.seconds as f64;
        say(&format!(
            "{callers} callers, batch {}: {per_second:.1} items/s, {:.2} ms CPU per item, {} MB now, {} MB at most",
            arguments.batch,
            cpu.as_secs_f64() * 1000.0 / items.max(1) as f64,
            memory_mb("VmRSS:"),
            memory_mb("VmHWM:"),
        ));
    }
    Ok(())
}

fn open(arguments: &Arguments) -> Result<std::sync::Arc<dyn Model>, Box<dyn std::error::Error>> {
    let repository = Repository::open(&arguments.repository, false)?;
    let files = repository.files()?;
    let is_caffe = files.iter().any(|name| name.ends_with(".caffemodel"));
    let is_csv = files.iter().any(|name| name.starts_with("mlp"));
    let backend: &dyn Backend = if is_caffe { &Caffe } else { &Onnx::new() };
    let none = Section::new();
    let engine =
        EngineOptions { threads: arguments.threads, concurrency: arguments.threads, engine: arguments.engine.clone() };
    let opened = backend.open(&OpenRequest {
        repository: &repository,
        mllib: &none,
        mllib_in_call: &none,
        mllib_stored: &none,
        input: &none,
        model: &none,
        service_type: ServiceType::Supervised,
        kind: if is_csv { DataKind::Table } else { DataKind::Images },
        engine: &engine,
    })?;
    opened.model.ok_or_else(|| "the repository holds no network".into())
}

fn samples(shape: SampleShape, count: usize) -> Samples {
    match shape {
        SampleShape::Row { columns } => {
            let values = (0..count * columns).map(|index| (index % 17) as f32 / 17.0).collect();
            Samples::Table(Floats::new(vec![count, columns], values).expect("as many values as the shape wants"))
        }
        SampleShape::Image { width, height, channels } => {
            let (width, height) = (width.unwrap_or(224), height.unwrap_or(224));
            let pixels = (0..width * height * channels).map(|index| (index * 7 % 251) as u8).collect();
            let pixels = Pixels::U8(pixels);
            let image =
                Image { width, height, channels, pixels, original_width: width, original_height: height, frame: None };
            Samples::Images { images: vec![image; count], normalization: Normalization::default() }
        }
    }
}

/// Items answered, and the CPU time of the process meanwhile.
fn run(
    model: &dyn Model,
    samples: &Samples,
    callers: usize,
    time: Duration,
) -> Result<(u64, Duration), Box<dyn std::error::Error>> {
    let (stop, items) = (AtomicBool::new(false), AtomicU64::new(0));
    let before = cpu_time();
    std::thread::scope(|scope| {
        let call = || {
            while !stop.load(Ordering::Relaxed) {
                model.predict(samples, &PredictOptions::default(), &MemoryShare::unbounded())?;
                items.fetch_add(samples.len() as u64, Ordering::Relaxed);
            }
            Ok::<_, dede_model::error::Error>(())
        };
        let running: Vec<_> = (0..callers).map(|_| scope.spawn(call)).collect();
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        running.into_iter().try_for_each(|caller| caller.join().expect("a caller does not panic"))
    })?;
    Ok((items.into_inner(), cpu_time().saturating_sub(before)))
}

/// User and system time of this process, from `/proc/self/stat` (fields 14 and 15, in hundredths of a second).
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// A figure of `/proc/self/status`, MB.
fn memory_mb(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) / 1024
}

#[expect(clippy::print_stdout, reason = "a measuring program prints")]
fn say(line: &str) {
    println!("{line}");
}

//! Runs tests of the ONNX backend suite through an engine, and says of each how it came out.
//!
//! It owns how a test is read (`model.onnx` with `test_data_set_0/{input,output}_N.pb`) and compared. It must not know where
//! the tests come from nor which outcome is expected: `tests/onnx/conformance.py` does. Arguments: the engine, then folders
//! of tests. Each line of the answer is `NAME<tab>pass`, `NAME<tab>refused<tab>why` or `NAME<tab>wrong<tab>what`. An engine that
//! panics is wrong: overflow of integers, which a debug build finds so, is a wrong number in a release.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use dede_backends::neural::engine::{Engine, LoadOptions, Network, Parallelism, Port, Tensor, Values, select};
use dede_backends::neural::onnx_view::{OnnxView, TensorView, ValueView};
use dede_model::tensor::ElementType;
use half::{bf16, f16};

/// As in ONNX's own runner.
const RELATIVE: f64 = 1e-3;
/// As in ONNX's own runner.
const ABSOLUTE: f64 = 1e-7;
/// Of the largest number of an output: what a sum of such numbers that should be 0 may come to in 32 bits.
const OF_LARGEST: f64 = 1e-6;

/// Why a test has no answer that could be compared, or what was wrong with the answer.
enum Failure {
    Refused(String),
    Wrong(String),
}

/// The last panic of any thread.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

fn refused(reason: impl ToString) -> Failure {
    Failure::Refused(reason.to_string())
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let engine = match arguments
        .next()
        .ok_or_else(|| "the name of an engine expected".to_owned())
        .and_then(|name| select(Some(&name)).map_err(|error| error.to_string()))
    {
        Ok(engine) => engine,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    std::panic::set_hook(Box::new(|panic| {
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic.to_string());
    }));
    for folder in arguments {
        let name = Path::new(&folder).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let outcome = run(engine, Path::new(&folder));
        let panic = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
        let line = match panic.map_or(outcome, |panic| Err(Failure::Wrong(panic))) {
            Ok(()) => "pass".to_owned(),
            Err(Failure::Refused(reason)) => format!("refused\t{}", reason.replace(['\n', '\t'], " ")),
            Err(Failure::Wrong(what)) => format!("wrong\t{}", what.replace(['\n', '\t'], " ")),
        };
        // What is said before an engine ends the process must have left it.
        let mut output = std::io::stdout().lock();
        if writeln!(output, "{name}\t{line}").and_then(|()| output.flush()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn run(engine: &dyn Engine, folder: &Path) -> Result<(), Failure> {
    let path = folder.join("model.onnx");
    let onnx = std::fs::read(&path).map_err(refused)?;
    dede_graph::onnx::inspect(&onnx).map_err(refused)?;
    let view = OnnxView::parse(&onnx).map_err(refused)?;
    let names: Vec<String> = view.graph.required_inputs().map(|input| input.name.to_owned()).collect();
    let data = folder.join("test_data_set_0");
    let read = |kind: &str, (index, value): (usize, &ValueView<'_>)| match value.element {
        Some(_) => tensor(&data.join(format!("{kind}_{index}.pb"))),
        None => Err(refused(format!("{} is no tensor, and nothing else crosses engines", value.name))),
    };
    let inputs = view.graph.required_inputs().enumerate().map(|input| read("input", input));
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    let expected = view.graph.outputs.iter().enumerate().map(|output| read("output", output));
    let expected = expected.collect::<Result<Vec<_>, _>>()?;
    let network = Network { onnx: onnx.clone().into(), path: Some(path), external: Vec::new() };
    let options = LoadOptions { threads: 1, lanes: 1, outputs: Vec::new(), is_optimised: true };
    let session = engine.load(network, &options).map_err(refused)?;
    let given = |port: &Port| {
        let index = names.iter().position(|name| *name == port.name);
        index.map(|index| inputs[index].clone()).ok_or_else(|| refused(format!("no data for input {}", port.name)))
    };
    let given = session.inputs().iter().map(given).collect::<Result<Vec<_>, _>>()?;
    let found = session.run(given, Parallelism::One).map_err(refused)?;
    if found.len() != expected.len() {
        return Err(Failure::Wrong(format!("{} outputs, expected {}", found.len(), expected.len())));
    }
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        compare(found, expected).map_err(|what| Failure::Wrong(format!("output {index}: {what}")))?;
    }
    Ok(())
}

/// A tensor of a test.
fn tensor(path: &Path) -> Result<Tensor, Failure> {
    let bytes = std::fs::read(path).map_err(|error| refused(format!("{}: {error}", path.display())))?;
    let tensor = TensorView::parse(&bytes).map_err(refused)?;
    let raw = tensor.raw;
    let other = || refused(format!("values of type {:?} do not cross engines", tensor.element));
    let values = match tensor.element.of_tensors().ok_or_else(other)? {
        ElementType::F16 => Values::F16(words(raw).map(f16::from_le_bytes).collect()),
        ElementType::Bf16 => Values::Bf16(words(raw).map(bf16::from_le_bytes).collect()),
        ElementType::F32 => Values::F32(words(raw).map(f32::from_le_bytes).collect()),
        ElementType::F64 => Values::F64(words(raw).map(f64::from_le_bytes).collect()),
        ElementType::I8 => Values::I8(words(raw).map(i8::from_le_bytes).collect()),
        ElementType::I16 => Values::I16(words(raw).map(i16::from_le_bytes).collect()),
        ElementType::I32 => Values::I32(words(raw).map(i32::from_le_bytes).collect()),
        ElementType::I64 => Values::I64(words(raw).map(i64::from_le_bytes).collect()),
        ElementType::U8 => Values::U8(raw.to_vec()),
        ElementType::U16 => Values::U16(words(raw).map(u16::from_le_bytes).collect()),
        ElementType::U32 => Values::U32(words(raw).map(u32::from_le_bytes).collect()),
        ElementType::U64 => Values::U64(words(raw).map(u64::from_le_bytes).collect()),
        ElementType::Bool => Values::Bool(raw.iter().map(|&byte| byte != 0).collect()),
        // The files hold them elsewhere.
        ElementType::Bytes => return Err(other()),
    };
    let shape = tensor.dims.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
    Tensor::new(shape, values).map_err(refused)
}

fn words<const N: usize>(raw: &[u8]) -> impl Iterator<Item = [u8; N]> {
    raw.as_chunks::<N>().0.iter().copied()
}

fn compare(found: &Tensor, expected: &Tensor) -> Result<(), String> {
    if found.shape() != expected.shape() {
        return Err(format!("shape {:?}, expected {:?}", found.shape(), expected.shape()));
    }
    // An engine that computes with single precision alone answers so.
    let is_float = is_float(expected) && is_float(found);
    if !is_float && found.element() != expected.element() {
        return Err(format!("type {}, expected {}", found.element(), expected.element()));
    }
    let (found, expected) = (numbers(found.values()), numbers(expected.values()));
    let largest =
        expected.iter().filter(|value| value.is_finite()).fold(0f64, |largest, value| largest.max(value.abs()));
    let absolute = ABSOLUTE + OF_LARGEST * largest;
    let is_close = |(&found, &expected): (&f64, &f64)| {
        found == expected
            || found.is_nan() && expected.is_nan()
            || is_float && found.is_finite() && (found - expected).abs() <= absolute + RELATIVE * expected.abs()
    };
    match found.iter().zip(&expected).position(|pair| !is_close(pair)) {
        Some(place) => Err(format!("[{place}] is {}, expected {}", found[place], expected[place])),
        None => Ok(()),
    }
}

fn is_float(tensor: &Tensor) -> bool {
    matches!(tensor.element(), ElementType::F16 | ElementType::Bf16 | ElementType::F32 | ElementType::F64)
}

fn numbers(values: &Values) -> Vec<f64> {
    match values {
        Values::F16(values) => values.iter().copied().map(f64::from).collect(),
        Values::Bf16(values) => values.iter().copied().map(f64::from).collect(),
        Values::F32(values) => values.iter().copied().map(f64::from).collect(),
        Values::I8(values) => values.iter().copied().map(f64::from).collect(),
        Values::I16(values) => values.iter().copied().map(f64::from).collect(),
        Values::I32(values) => values.iter().copied().map(f64::from).collect(),
        Values::U8(values) => values.iter().copied().map(f64::from).collect(),
        Values::U16(values) => values.iter().copied().map(f64::from).collect(),
        Values::U32(values) => values.iter().copied().map(f64::from).collect(),
        Values::F64(values) => values.clone(),
        Values::I64(values) => values.iter().map(|&value| value as f64).collect(),
        Values::U64(values) => values.iter().map(|&value| value as f64).collect(),
        Values::Bool(values) => values.iter().map(|&value| f64::from(u8::from(value))).collect(),
        Values::Bytes(_) => Vec::new(),
    }
}

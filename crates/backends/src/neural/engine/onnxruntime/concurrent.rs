//! One session of ONNX Runtime, run by any number of callers at once.
//!
//! It owns the one call that `ort` gives to a single caller only: its `run` wants the session exclusively, for the sake of execution
//! providers that are not used here. A session for each caller held the weights once more: with three of them, ResNet-50 took 650 MB
//! where one takes 250.

use std::ffi::{CString, c_char};
use std::ptr::{self, NonNull};

use ort::AsPointer;
use ort::session::{NoSelectedOutputs, RunOptions, Session};
use ort::value::DynValue;

use super::values::{failed, from_runtime, port, to_runtime};
use crate::neural::engine::{EngineError, Port, Tensor};

/// Asks a run to give back the memory that earlier, larger runs left with the session.
const SHRINK: (&str, &str) = ("memory.enable_memory_arena_shrinkage", "cpu:0");

/// A loaded network.
pub(super) struct SharedSession {
    session: Session,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
    wanted: Vec<Port>,
    shrinking: RunOptions<NoSelectedOutputs>,
}

impl SharedSession {
    /// Answers the outputs of those names; without any, all.
    pub(super) fn new(session: Session, outputs: &[String]) -> Result<Self, EngineError> {
        let ports: Vec<Port> = session.outputs().iter().map(port).collect();
        let find = |name: &String| ports.iter().find(|port| port.name == *name).cloned();
        let wanted: Vec<Port> =
            if outputs.is_empty() { ports.clone() } else { outputs.iter().filter_map(find).collect() };
        let inputs = session.inputs().iter().map(|input| c_name(input.name())).collect::<Result<_, _>>()?;
        let outputs = wanted.iter().map(|port| c_name(&port.name)).collect::<Result<_, _>>()?;
        let mut shrinking = RunOptions::new().map_err(failed)?;
        shrinking.set(SHRINK.0, SHRINK.1).map_err(failed)?;
        Ok(Self { session, inputs, outputs, wanted, shrinking })
    }

    /// What runs take and answer.
    pub(super) fn ports(&self) -> (Vec<Port>, Vec<Port>) {
        (self.session.inputs().iter().map(port).collect(), self.wanted.clone())
    }

    /// Runs the network: one array per input, one per output back.
    ///
    /// # Errors
    /// [`EngineError`] of the library.
    pub(super) fn run(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, EngineError> {
        self.run_with(inputs, ptr::null())
    }

    /// As [`Self::run`], and gives back memory that this run did not need.
    ///
    /// # Errors
    /// As there.
    pub(super) fn run_and_shrink(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, EngineError> {
        self.run_with(inputs, self.shrinking.ptr())
    }

    fn run_with(
        &self,
        inputs: Vec<Tensor>,
        options: *const ort::sys::OrtRunOptions,
    ) -> Result<Vec<Tensor>, EngineError> {
        if inputs.len() != self.inputs.len() {
            let (wanted, found) = (self.inputs.len(), inputs.len());
            return Err(EngineError::new(format!("the network takes {wanted} inputs, found {found}")));
        }
        let inputs = inputs.into_iter().map(to_runtime).collect::<Result<Vec<DynValue>, _>>()?;
        let values: Vec<*const ort::sys::OrtValue> = inputs.iter().map(AsPointer::ptr).collect();
        let (input_names, output_names) = (pointers(&self.inputs), pointers(&self.outputs));
        let mut outputs = vec![ptr::null_mut(); output_names.len()];
        // SAFETY: every pointer is valid for the call, each list as long as is said. Several threads may be in `Run` of one session:
        // `InferenceSession::Run` is declared thread-safe by ONNX Runtime, all bindings of its own rely on it, and what a run changes
        // (arena, memory patterns, counters) it changes under locks. That `ort` wants exclusive access is for execution providers other
        // than the CPU's, and no other is ever added to a session here. `many_callers_get_their_own_answers` runs it under load.
        #[expect(unsafe_code, reason = "concurrent runs of one session")]
        let outputs = unsafe {
            let status = (ort::api().Run)(
                self.session.inner().ptr().cast_mut(),
                options,
                input_names.as_ptr(),
                values.as_ptr(),
                values.len(),
                output_names.as_ptr(),
                output_names.len(),
                outputs.as_mut_ptr(),
            );
            ort::Error::result_from_status(status).map_err(failed)?;
            // The values are this caller's from here on, and each is released when it is dropped.
            let own =
                |value| NonNull::new(value).map(|value| DynValue::from_ptr(value, Some(self.session.allocator())));
            outputs.into_iter().map(own).collect::<Vec<Option<DynValue>>>()
        };
        let read = |(port, value): (&Port, Option<DynValue>)| match value {
            Some(value) => from_runtime(&port.name, &value),
            None => Err(EngineError::at(&port.name, "no such output")),
        };
        self.wanted.iter().zip(outputs).map(read).collect()
    }
}

fn c_name(name: &str) -> Result<CString, EngineError> {
    CString::new(name).map_err(|_| EngineError::new("a name in the network contains a zero byte"))
}

fn pointers(names: &[CString]) -> Vec<*const c_char> {
    names.iter().map(|name| name.as_ptr()).collect()
}

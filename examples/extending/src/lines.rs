//! A protocol of one's own: one call in each line of a Unix socket, `<service> <item>`, and one line as its answer.
//!
//! The dispatcher routes the call, makes it wait and counts it, as it does for every protocol; this file parses and renders.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_engine::dispatch::{Call, Dispatcher, Door, Inferred, Record, RemoteTarget};
use dede_engine::limiter::Forwarded;
use dede_engine::name::ServiceName;
use dede_engine::service::PredictCall;
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::request_memory::{MemoryShare, RequestMemory};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Longest line, bytes.
const LONGEST: u64 = 64 << 10;

/// Answers the clients of a socket.
///
/// # Errors
/// Where no client can be accepted any more.
pub async fn serve(listener: UnixListener, dispatcher: Arc<Dispatcher>, memory: RequestMemory) -> std::io::Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        let (dispatcher, memory) = (Arc::clone(&dispatcher), memory.clone());
        // A client that leaves in the middle of a line is no other client's concern.
        tokio::spawn(async move { converse(client, &dispatcher, &memory).await });
    }
}

async fn converse(client: UnixStream, dispatcher: &Dispatcher, memory: &RequestMemory) -> std::io::Result<()> {
    let (reader, mut writer) = client.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = String::new();
        (&mut reader).take(LONGEST).read_line(&mut line).await?;
        if line.is_empty() {
            return Ok(());
        }
        let is_whole = line.ends_with('\n') || (line.len() as u64) < LONGEST;
        let answer = match is_whole {
            true => answer(line.trim_end_matches('\n'), dispatcher, memory)
                .await
                .unwrap_or_else(|error| format!("error: {error}")),
            false => format!("error: expected a line of at most {LONGEST} bytes"),
        };
        writer.write_all(format!("{answer}\n").as_bytes()).await?;
        if !line.ends_with('\n') {
            return Ok(());
        }
    }
}

async fn answer(line: &str, dispatcher: &Dispatcher, memory: &RequestMemory) -> Result<String> {
    let (name, item) =
        line.split_once(' ').ok_or_else(|| Error::bad_input("expected the name of a service and an item"))?;
    let share = memory.share();
    share.grow(line.len() as u64)?;
    // A guest: items of a client name no files of the server.
    let request = Box::new(PredictCall { is_guest: true, data: vec![item.to_owned()], ..PredictCall::default() });
    let call = Call { name: name.to_owned(), request, received: Instant::now(), deadline: None };
    dispatcher.infer(LineDoor { memory: share }, call).await
}

struct LineDoor {
    memory: MemoryShare,
}

impl Door for LineDoor {
    type Reply = String;
    type Failure = Error;

    fn check(&mut self, _asked: &ServiceName) -> Result<()> {
        Ok(())
    }

    fn take_memory(&mut self) -> MemoryShare {
        std::mem::replace(&mut self.memory, MemoryShare::unbounded())
    }

    /// `<service> <class>=<probability> …`, or the values.
    fn render(&self, inferred: Inferred<'_>) -> Result<String> {
        let shown = |values: &[f32]| -> Vec<String> {
            values.iter().enumerate().map(|(class, value)| format!("{class}={value:.4}")).collect()
        };
        let values = match inferred.outputs {
            Outputs::Classification(tensor) | Outputs::Regression(tensor) | Outputs::Features(tensor) => {
                shown(tensor.row(0))
            }
            Outputs::Detection(found) => {
                found.of(0).iter().map(|found| format!("{}={:.4}", found.class, found.score)).collect()
            }
            Outputs::Segmentation(_) | Outputs::Tensors(_) => Vec::new(),
        };
        Ok(format!("{} {}", inferred.service, values.join(" ")))
    }

    fn reason(&self, _call: &PredictCall, failure: &Error) -> Option<String> {
        Some(failure.to_string())
    }

    async fn forward(&mut self, to: RemoteTarget, _permit: Forwarded) -> Result<String> {
        Err(Error::bad_parameter(format!(
            "{} is answered by {}, which does not speak this protocol",
            to.asked, to.peer
        )))
    }

    fn queued(&self, _waited: Duration) {}

    fn record(&self, _record: &Record<'_>, _outcome: Result<&String, &Error>) {}
}

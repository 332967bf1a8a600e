//! A proxy that misbehaves once, between a source and the server or command that asks it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What happens to an answer, mostly after [`AFTER`] bytes of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// One byte arrives as another, once.
    Corrupt,
    /// The connection ends, once.
    Cut,
    /// The rest does not come, once.
    Stall,
    /// The rest comes slowly.
    #[cfg(feature = "failpoints")]
    Slow,
    /// Every answer comes late, from its first byte on.
    Late,
}

/// Far into the weights of a large model.
const AFTER: usize = 150_000;
const PIECE: usize = 16 << 10;
/// Before an answer that comes late.
const DELAY: std::time::Duration = std::time::Duration::from_millis(15);
/// Between two pieces of a slow answer.
#[cfg(feature = "failpoints")]
const PAUSE: std::time::Duration = std::time::Duration::from_millis(40);

/// Listens until the test process ends; gives its URL, and whether the fault happened.
pub(crate) fn start(to: SocketAddr, fault: Fault) -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let happened = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&happened);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let happened = Arc::clone(&shared);
            std::thread::spawn(move || {
                // Either end may be gone; then the connection is over.
                let _ = connect(client, to, fault, &happened);
            });
        }
    });
    (url, happened)
}

fn connect(client: TcpStream, to: SocketAddr, fault: Fault, happened: &AtomicBool) -> io::Result<()> {
    let server = TcpStream::connect(to)?;
    let (mut requests, mut upstream) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut requests, &mut upstream);
        let _ = upstream.shutdown(Shutdown::Write);
    });
    let outcome = answer(&server, &client, fault, happened);
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
    outcome
}

fn answer(mut server: &TcpStream, mut client: &TcpStream, fault: Fault, happened: &AtomicBool) -> io::Result<()> {
    let (mut passed, mut piece) = (0, vec![0; PIECE]);
    loop {
        let count = server.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        if fault == Fault::Late {
            std::thread::sleep(DELAY);
        }
        passed += count;
        if passed > AFTER {
            let first = !happened.swap(true, Ordering::SeqCst);
            match fault {
                Fault::Corrupt if first => piece[count / 2] ^= 1,
                Fault::Cut if first => return Ok(()),
                // Until the tests end; a client that waits for the rest gives up, or is ended.
                Fault::Stall if first => loop {
                    std::thread::park();
                },
                #[cfg(feature = "failpoints")]
                Fault::Slow => std::thread::sleep(PAUSE),
                Fault::Corrupt | Fault::Cut | Fault::Stall | Fault::Late => {}
            }
        }
        client.write_all(&piece[..count])?;
    }
}

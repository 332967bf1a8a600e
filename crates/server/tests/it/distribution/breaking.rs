//! A connection between a client and a registry that breaks again and again, in either direction, and that remembers what was asked.

use std::io::{self, Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What happens on the way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// A connection breaks behind so many bytes of requests.
    pub(super) requests: usize,
    /// A connection breaks behind so many bytes of answers.
    pub(super) answers: usize,
    /// Connections that break, before all goes well.
    pub(super) times: usize,
    /// Instead of breaking, nothing more comes.
    pub(super) stalls: bool,
    /// The `Range` that the registry hears of, where it is another than the client's: an empty one is none.
    pub(super) range: Option<&'static str>,
    /// The registry does not know the uploads whose state it is asked for.
    pub(super) forgets: bool,
    /// Answers to requests that begin like this are lost, as connections that break.
    pub(super) loses: Option<&'static str>,
}

/// Nothing happens.
pub(super) const GOOD: Plan = Plan {
    requests: usize::MAX,
    answers: usize::MAX,
    times: usize::MAX,
    stalls: false,
    range: None,
    forgets: false,
    loses: None,
};

/// Listens until the test process ends.
pub(super) struct Breaking {
    pub(super) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    broken: Arc<AtomicUsize>,
}

impl Breaking {
    pub(super) fn start(to: SocketAddr, plan: Plan) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (heads, broken) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let shared = (Arc::clone(&heads), Arc::clone(&broken));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (heads, broken) = (Arc::clone(&shared.0), Arc::clone(&shared.1));
                std::thread::spawn(move || {
                    // Either end may be gone; then the connection is over.
                    let _ = connect(&client, to, plan, &heads, &broken);
                });
            }
        });
        Self { address, heads, broken }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections broke.
    pub(super) fn broken(&self) -> usize {
        self.broken.load(Ordering::SeqCst)
    }

    /// The values of a header, of requests whose first line holds a text.
    pub(super) fn asked(&self, line: &str, header: &str) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        let wanted = heads.iter().filter(|head| head.lines().next().is_some_and(|first| first.contains(line)));
        wanted.filter_map(|head| value(head, header).map(str::to_owned)).collect()
    }
}

fn value<'a>(head: &'a str, header: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case(header))
        .map(|found| found.1)
}

fn connect(
    client: &TcpStream,
    to: SocketAddr,
    plan: Plan,
    heads: &Mutex<Vec<String>>,
    broken: &AtomicUsize,
) -> io::Result<()> {
    let server = TcpStream::connect(to)?;
    let end = || {
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    };
    let loses = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut direction = Direction { to: &server, left: plan.requests, plan, broken, loses: &loses };
            let _ = requests(client, &mut direction, heads);
            end();
        });
        let mut direction = Direction { to: client, left: plan.answers, plan, broken, loses: &loses };
        let mut piece = vec![0; 16 << 10];
        let mut from = &server;
        while let Ok(count @ 1..) = from.read(&mut piece) {
            if loses.swap(false, Ordering::SeqCst) {
                direction.left = 0;
            }
            if direction.pass(&piece[..count]).is_err() {
                break;
            }
        }
        end();
    });
    Ok(())
}

/// One direction of one connection.
struct Direction<'a> {
    to: &'a TcpStream,
    left: usize,
    plan: Plan,
    broken: &'a AtomicUsize,
    /// The next answer does not arrive.
    loses: &'a AtomicBool,
}

impl Direction<'_> {
    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        let passing = bytes.len().min(self.left);
        self.to.write_all(&bytes[..passing])?;
        if passing == bytes.len() {
            self.left -= passing;
            return Ok(());
        }
        if self.broken.fetch_add(1, Ordering::SeqCst) >= self.plan.times {
            self.broken.fetch_sub(1, Ordering::SeqCst);
            self.left = usize::MAX;
            return self.to.write_all(&bytes[passing..]);
        }
        if self.plan.stalls {
            // Until the tests end; the client is ended by its test.
            loop {
                std::thread::park();
            }
        }
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    }
}

/// Passes requests on, each head as the plan wants it.
fn requests(mut client: &TcpStream, direction: &mut Direction<'_>, heads: &Mutex<Vec<String>>) -> io::Result<()> {
    let (mut waiting, mut piece) = (Vec::new(), vec![0; 16 << 10]);
    loop {
        let Some(end) = waiting.windows(4).position(|window| window == b"\r\n\r\n") else {
            let count = client.read(&mut piece)?;
            if count == 0 {
                return Ok(());
            }
            waiting.extend_from_slice(&piece[..count]);
            continue;
        };
        let mut body = waiting.split_off(end + 4);
        let mut head = String::from_utf8(std::mem::take(&mut waiting)).expect("a head in text");
        heads.lock().unwrap().push(head.clone());
        let mut left: usize = value(&head, "content-length").map_or(0, |length| length.parse().expect("a length"));
        if let (Some(range), Some(sent)) = (direction.plan.range, value(&head, "range").map(str::to_owned)) {
            head = head.replace("\r\nrange: ", "\r\nRange: ");
            let heard = if range.is_empty() { String::new() } else { format!("\r\nRange: {range}") };
            head = head.replace(&format!("\r\nRange: {sent}"), &heard);
        }
        if direction.plan.forgets && head.starts_with("GET") {
            head = head.replacen("/blobs/uploads/", "/blobs/uploads/of-nothing-", 1);
        }
        if direction.plan.loses.is_some_and(|begin| head.starts_with(begin)) {
            direction.loses.store(true, Ordering::SeqCst);
        }
        direction.pass(head.as_bytes())?;
        while left > 0 {
            if body.is_empty() {
                let count = client.read(&mut piece)?;
                if count == 0 {
                    return Ok(());
                }
                body.extend_from_slice(&piece[..count]);
            }
            let count = body.len().min(left);
            direction.pass(&body[..count])?;
            body.drain(..count);
            left -= count;
        }
        waiting = body;
    }
}

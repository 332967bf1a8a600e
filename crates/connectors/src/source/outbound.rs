//! Connections that a client makes this server open: to addresses that its policy allows only.
//!
//! A host is resolved once per hop, every address is checked, and one of those is connected to: a name cannot change its address
//! in between.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use dede_model::egress::EgressPolicy;
use ureq::config::{Config, ConfigBuilder};
use ureq::http::Uri;
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// What a client is told. Not the address: what a name inside resolves to is none of its business.
pub const REFUSED: &str = "this server does not connect to hosts like that one (--allow-fetch)";

/// An HTTP client that connects where `egress` allows.
pub fn agent(config: ConfigBuilder<AgentScope>, egress: EgressPolicy) -> ureq::Agent {
    agent_resolving(config, CheckedResolver { resolver: DefaultResolver::default(), egress })
}

fn agent_resolving(config: ConfigBuilder<AgentScope>, resolver: impl Resolver) -> ureq::Agent {
    // Without a proxy: behind one, addresses could not be checked here.
    ureq::Agent::with_parts(config.proxy(None).build(), DefaultConnector::default(), resolver)
}

/// Resolves hosts, and refuses those with an address that the policy does not allow.
#[derive(Debug)]
struct CheckedResolver<R> {
    resolver: R,
    egress: EgressPolicy,
}

impl<R: Resolver> Resolver for CheckedResolver<R> {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.resolver.resolve(uri, config, timeout)?;
        let is_fine = |address: &SocketAddr| {
            self.egress.permits(address.ip()) && !self.egress.is_own(*address, is_of_this_machine)
        };
        if found.iter().all(is_fine) {
            return Ok(found);
        }
        Err(ureq::Error::Io(std::io::Error::new(std::io::ErrorKind::PermissionDenied, REFUSED)))
    }
}

/// Whether an address is one of this machine: what it would be reached from is then itself. Nothing is sent.
fn is_of_this_machine(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let reached_from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, 1))?;
        socket.local_addr()
    });
    address.is_loopback() || reached_from.is_ok_and(|own| own.ip() == address)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Gives its answers one after the other, whatever is asked.
    #[derive(Debug)]
    struct Changing {
        answers: Vec<Vec<SocketAddr>>,
        asked: &'static AtomicUsize,
    }

    impl Resolver for Changing {
        fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let index = self.asked.fetch_add(1, Ordering::SeqCst);
            let mut found = self.empty();
            self.answers[index].iter().for_each(|address| found.push(*address));
            Ok(found)
        }
    }

    /// Answers each connection with a redirect to the same name; gives the number of connections.
    fn redirecting(listener: TcpListener) -> &'static AtomicUsize {
        let connections: &AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a client");
                connections.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 4096]).expect("a request");
                let answer = "HTTP/1.1 302 Found\r\nLocation: http://rebinding.test/\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(answer.as_bytes()).expect("an open connection");
            }
        });
        connections
    }

    /// Fetches through a resolver with these answers; the error, the number of look-ups and that of connections.
    fn fetch(answers: impl Fn(SocketAddr) -> Vec<Vec<SocketAddr>>) -> (String, usize, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let answers = answers(listener.local_addr().expect("bound"));
        let connections = redirecting(listener);
        let asked: &AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
        let resolver = CheckedResolver { resolver: Changing { answers, asked }, egress: EgressPolicy::default() };
        let agent = agent_resolving(ureq::Agent::config_builder(), resolver);
        let error = agent.get("http://rebinding.test/").call().expect_err("refused").to_string();
        (error, asked.load(Ordering::SeqCst), connections.load(Ordering::SeqCst))
    }

    fn metadata() -> SocketAddr {
        "169.254.169.254:80".parse().expect("an address")
    }

    #[test]
    fn a_name_that_changes_its_address_is_checked_again_and_what_was_checked_is_connected_to() {
        let (error, asked, connections) = fetch(|good| vec![vec![good], vec![metadata()], vec![good]]);
        assert!(error.contains(REFUSED) && !error.contains("169.254"), "{error}");
        assert_eq!((asked, connections), (2, 1), "one look-up per hop, one connection for the good one");
    }

    #[test]
    fn addresses_of_this_machine_are_known() {
        for (address, expected) in [("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("192.0.2.1", false)] {
            assert_eq!(is_of_this_machine(address.parse().expect(address)), expected, "{address}");
        }
    }

    #[test]
    fn one_bad_address_among_good_ones_is_enough() {
        let (error, asked, connections) = fetch(|good| vec![vec![good, metadata()]]);
        assert!(error.contains(REFUSED), "{error}");
        assert_eq!((asked, connections), (1, 0));
    }
}

//! The egress policy: which addresses a client may make this server connect to, by the URL of an image, say.
//!
//! It owns the classes of addresses and the exceptions an operator makes. It must not know names, URLs or how to
//! connect: the code that connects asks about every address a name resolves to, and connects to one of those.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// A range of addresses, `10.0.0.0/8` or `fd00::/8`; one address alone is a range of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    start: IpAddr,
    length: u8,
}

/// Why a text is no [`AddressRange`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotANetwork(String);

impl fmt::Display for NotANetwork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "expected addresses like 10.0.0.0/8 or fd00::/8, found {:?}", self.0)
    }
}

impl std::error::Error for NotANetwork {}

impl FromStr for AddressRange {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork(text.to_owned());
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let start: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = if start.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(bits), str::parse).map_err(|_| wrong())?;
        if length > bits { Err(wrong()) } else { Ok(Self { start, length }) }
    }
}

impl AddressRange {
    const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Self {
        Self { start: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), length }
    }

    const fn v6(start: [u16; 8], length: u8) -> Self {
        let [a, b, c, d, e, f, g, h] = start;
        Self { start: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), length }
    }

    /// Whether the address is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        let outside = |xor: u128, bits: u32| xor.checked_shr(bits - u32::from(self.length)).unwrap_or(0) != 0;
        match (self.start, address) {
            (IpAddr::V4(start), IpAddr::V4(address)) => !outside(u128::from(start.to_bits() ^ address.to_bits()), 32),
            (IpAddr::V6(start), IpAddr::V6(address)) => !outside(start.to_bits() ^ address.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// How far away an address is, the most harmless first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    /// Anywhere on the Internet.
    Public,
    /// This machine, its network, or no unicast address at all.
    Private,
    /// Link-local, or where clouds answer with credentials.
    Forbidden,
}

/// Clouds answer with credentials here.
const METADATA: &[AddressRange] = &[
    AddressRange::v4(169, 254, 0, 0, 16),
    AddressRange::v4(100, 100, 100, 200, 32),
    AddressRange::v4(168, 63, 129, 16, 32),
    AddressRange::v4(192, 0, 0, 192, 32),
    AddressRange::v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    AddressRange::v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128),
    AddressRange::v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128),
];
/// IPv4 that is not global (the IANA special-purpose registry), multicast and reserved.
const PRIVATE_V4: &[AddressRange] = &[
    AddressRange::v4(0, 0, 0, 0, 8),
    AddressRange::v4(10, 0, 0, 0, 8),
    AddressRange::v4(100, 64, 0, 0, 10),
    AddressRange::v4(127, 0, 0, 0, 8),
    AddressRange::v4(172, 16, 0, 0, 12),
    AddressRange::v4(192, 0, 0, 0, 24),
    AddressRange::v4(192, 0, 2, 0, 24),
    AddressRange::v4(192, 88, 99, 0, 24),
    AddressRange::v4(192, 168, 0, 0, 16),
    AddressRange::v4(198, 18, 0, 0, 15),
    AddressRange::v4(198, 51, 100, 0, 24),
    AddressRange::v4(203, 0, 113, 0, 24),
    AddressRange::v4(224, 0, 0, 0, 3),
];
/// The only global IPv6 there is, and the parts of it that are not.
const GLOBAL_V6: AddressRange = AddressRange::v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
const PRIVATE_V6: &[AddressRange] = &[
    AddressRange::v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    AddressRange::v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    AddressRange::v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    AddressRange::v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];
/// IPv6 that stands for the IPv4 address in its last 32 bits: mapped, and NAT64.
const TRANSLATED: &[AddressRange] =
    &[AddressRange::v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), AddressRange::v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96)];

fn scope(address: IpAddr) -> Scope {
    let within = |networks: &[AddressRange]| networks.iter().any(|network| network.contains(address));
    if within(METADATA) {
        return Scope::Forbidden;
    }
    match address {
        IpAddr::V4(_) if within(PRIVATE_V4) => Scope::Private,
        IpAddr::V4(_) => Scope::Public,
        IpAddr::V6(v6) if within(TRANSLATED) => scope(IpAddr::V4(last_half(v6))),
        IpAddr::V6(v6) => {
            let own = if GLOBAL_V6.contains(address) && !within(PRIVATE_V6) { Scope::Public } else { Scope::Private };
            tunnelled(v6).map_or(own, |v4| own.max(scope(IpAddr::V4(v4))))
        }
    }
}

fn last_half(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

/// The IPv4 address that an obsolete way through IPv6 leads to: compatible, 6to4, Teredo, NAT64 of a local prefix.
fn tunnelled(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [first, second, third, ..] = address.segments();
    match (first, second) {
        (0, 0) | (0x64, 0xff9b) => Some(last_half(address)),
        (0x2002, high) => Some(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(third))),
        (0x2001, 0) => Some(Ipv4Addr::from_bits(!last_half(address).to_bits())),
        _ => None,
    }
}

/// What a client may make this server connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressPolicy {
    private: bool,
    networks: Vec<AddressRange>,
    /// Where this server itself listens.
    own: Option<SocketAddr>,
}

impl Default for EgressPolicy {
    /// As of a server that listens on loopback.
    fn default() -> Self {
        Self::new(true, Vec::new())
    }
}

impl EgressPolicy {
    /// Permits public addresses; with `private` those of this machine and its networks; and those of `networks`.
    pub fn new(private: bool, networks: Vec<AddressRange>) -> Self {
        Self { private, networks, own: None }
    }

    /// The same, except for the place where this server itself listens: its own routes are for its clients, not for what they name.
    pub fn besides(self, own: SocketAddr) -> Self {
        Self { own: Some(own), ..self }
    }

    /// Whether `address`, which is one of this machine if `is_of_this_machine` says so, is where this server listens.
    pub fn is_own(&self, address: SocketAddr, is_of_this_machine: impl FnOnce(IpAddr) -> bool) -> bool {
        let Some(own) = self.own.filter(|own| own.port() == address.port()) else { return false };
        let (own, asked) = (own.ip().to_canonical(), address.ip().to_canonical());
        // To connect to no address is to connect to this machine.
        own == asked || asked.is_unspecified() || (own.is_unspecified() && is_of_this_machine(asked))
    }

    /// Whether it may be connected to. Link-local and metadata addresses never are.
    pub fn permits(&self, address: IpAddr) -> bool {
        match scope(address) {
            Scope::Public => true,
            Scope::Private => {
                let canonical = address.to_canonical();
                self.private || self.networks.iter().any(|network| network.contains(canonical))
            }
            Scope::Forbidden => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn addresses_have_their_scope() {
        for (scope_expected, addresses) in [
            (
                Scope::Public,
                "8.8.8.8 1.1.1.1 100.63.255.255 100.128.0.0 172.32.0.1 192.167.0.1 2606:4700::1111 2a00:1450::1 \
                 ::ffff:8.8.8.8 64:ff9b::808:808",
            ),
            (
                Scope::Private,
                "127.0.0.1 127.255.0.9 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255 0.0.0.0 \
                 0.1.2.3 192.0.2.7 198.18.0.1 224.0.0.1 255.255.255.255 ::1 :: fc00::1 fdff::1 fec0::1 ff02::1 2001:db8::1 \
                 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::7f00:1 64:ff9b::a00:1 64:ff9b:1::808:808 2002:808:808::1 2002:7f00:1::1 \
                 2001:0:1::1 4000::1",
            ),
            (
                Scope::Forbidden,
                "169.254.169.254 169.254.1.1 100.100.100.200 168.63.129.16 fe80::1 febf::1 fd00:ec2::254 fd20:ce::254 \
                 ::ffff:169.254.169.254 ::a9fe:a9fe 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::1 64:ff9b:1::a9fe:a9fe \
                 2001:0:1::5601:5601 ::ffff:100.100.100.200",
            ),
        ] {
            for text in addresses.split_whitespace() {
                assert_eq!(scope(address(text)), scope_expected, "{text}");
            }
        }
    }

    #[test]
    fn exceptions_open_private_addresses_and_nothing_else() {
        let networks =
            ["10.2.0.0/16", "fd12::/16", "169.254.0.0/16", "127.0.0.1"].map(|text| text.parse().expect(text));
        let (some, none, all) = (
            EgressPolicy::new(false, networks.to_vec()),
            EgressPolicy::new(false, Vec::new()),
            EgressPolicy::new(true, vec!["0.0.0.0/0".parse().expect("a network")]),
        );
        for (text, expected) in [
            ("8.8.8.8", [true, true, true]),
            ("10.2.3.4", [true, false, true]),
            ("::ffff:10.2.3.4", [true, false, true]),
            ("10.3.0.1", [false, false, true]),
            ("127.0.0.1", [true, false, true]),
            ("127.0.0.2", [false, false, true]),
            ("fd12::1", [true, false, true]),
            ("::1", [false, false, true]),
            ("169.254.169.254", [false, false, false]),
            ("fe80::1", [false, false, false]),
        ] {
            assert_eq!([&some, &none, &all].map(|policy| policy.permits(address(text))), expected, "{text}");
        }
    }

    #[test]
    fn its_own_place_is_known_under_all_its_addresses() {
        let loopback = EgressPolicy::default().besides("127.0.0.1:8080".parse().expect("an address"));
        let everywhere = EgressPolicy::default().besides("0.0.0.0:8080".parse().expect("an address"));
        for (address, expected) in [
            ("127.0.0.1:8080", [true, true]),
            ("127.0.0.1:8081", [false, false]),
            ("[::ffff:127.0.0.1]:8080", [true, true]),
            ("0.0.0.0:8080", [true, true]),
            ("[::]:8080", [true, true]),
            ("127.0.0.2:8080", [false, true]),
            ("10.0.0.1:8080", [false, true]),
            ("10.0.0.2:8080", [false, false]),
        ] {
            let here = |ip: IpAddr| ip.is_loopback() || ip == self::address("10.0.0.1");
            let asked = address.parse().expect(address);
            assert_eq!([&loopback, &everywhere].map(|policy| policy.is_own(asked, here)), expected, "{address}");
        }
        assert!(!EgressPolicy::default().is_own("127.0.0.1:8080".parse().expect("an address"), |_| true));
    }

    #[test]
    fn texts_that_are_no_network_are_refused() {
        for text in ["", "10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0/8", "example.org", "10.0.0.0/-1"] {
            assert!(text.parse::<AddressRange>().is_err(), "{text}");
        }
        assert!("0.0.0.0/0".parse::<AddressRange>().expect("everything").contains(address("1.2.3.4")));
        assert!("::/0".parse::<AddressRange>().expect("everything").contains(address("::1")));
    }
}

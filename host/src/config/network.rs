//! The network access of a chainlet: hosts for HTTP requests, and addresses for sockets.
//!
//! As in [`spec`](super::spec), the doc comments on the items of chain.toml are also the descriptions in the JSON
//! Schema.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::reader::{Expected, Node, Problems};
use super::row_type::{Count, RowType};
use super::table::{Table, table};

table! {
    /// The network access of a chainlet. It reaches nothing that is not named here.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct NetworkAccess {
        /// The hosts to which the chainlet may send HTTP requests, for example
        /// `hosts = ["api.example.com", "*.example.org:8443", "10.0.0.0/8"]`. An entry is a name, `*.` and a name for all
        /// names below it, `*` for every public host, an address, or a range of addresses. An entry with a port permits
        /// only that port. Addresses that are not public must be named as addresses: a name that leads to one does not
        /// suffice, except `localhost`.
        pub hosts: Vec<HostRule> = Vec::new(), is "an array of hosts",
            like "hosts = [\"api.example.com\", \"*.example.org:8443\", \"10.0.0.0/8\"]";

        /// The addresses to which the chainlet may open TCP connections by `wasi:sockets`, for example
        /// `sockets = ["10.0.0.5:5432", "10.1.0.0/16:6379"]`.
        pub sockets: Vec<SocketRule> = Vec::new(), is "an array of addresses with ports",
            like "sockets = [\"10.0.0.5:5432\"]";

        /// The most HTTP requests that all replicas of the chainlet may have in flight together, for example
        /// `concurrency = 8`. Further requests wait.
        pub concurrency: u32 = 64, bounds Count::AtLeastOne("requests at once"), like "concurrency = 64";
    }
}

impl Table for NetworkAccess {
    const WHAT: &'static str = "a table of hosts";
}

/// A rule that permits requests to some hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRule {
    hosts: Hosts,
    /// The only permitted port; `None` permits every port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    /// All public hosts.
    Any,
    /// One name, in lowercase.
    Name(String),
    /// All names below a name, which is kept with its leading dot.
    Below(String),
    Addresses(IpNet),
}

/// A rule that permits connections to some addresses at one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketRule {
    addresses: IpNet,
    port: u16,
}

/// The reason why a text is not a rule for the network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkRuleError {
    /// It is a URL rather than a host.
    #[error("this is a URL; its host alone is {host:?}")]
    Url {
        /// The text.
        found: String,
        /// Its host, with its port if it has one.
        host: String,
    },
    /// It is not a host.
    #[error("a host is a name, `*.` and a name, `*`, an address or a range of addresses")]
    Host(String),
    /// It is not an address with a port.
    #[error("an address of IPv6 stands in brackets, as in \"[fd00::1]:5432\", and names are not looked up")]
    Socket(String),
    /// Its port is not a number from 1 to 65535.
    #[error("no port from 1 to 65535 stands after the last colon")]
    Port(String),
}

impl HostRule {
    /// Returns true if a request may be sent to `host`, as its URL names it, at `port`. If `host` is a name,
    /// [`HostRule::admits_address`] or [`is_public`] must also permit the address that it leads to.
    #[must_use]
    pub fn admits(&self, host: &str, port: u16) -> bool {
        if self.port.is_some_and(|only| only != port) {
            return false;
        }
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        match (&self.hosts, address(host)) {
            (Hosts::Addresses(net), Some(address)) => net.contains(&address),
            (Hosts::Any, Some(address)) => is_public(address),
            (Hosts::Any, None) => true,
            (Hosts::Name(name), None) => name == host,
            (Hosts::Below(suffix), None) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            _ => false,
        }
    }

    /// Returns true if this rule permits that the name `host`, which some rule admits, leads to `to`.
    #[must_use]
    pub fn admits_address(&self, host: &str, to: SocketAddr) -> bool {
        if self.port.is_some_and(|only| only != to.port()) {
            return false;
        }
        let address = to.ip().to_canonical();
        match &self.hosts {
            Hosts::Addresses(net) => net.contains(&address),
            // RFC 6761 reserves this name for loopback addresses, whatever a name server answers.
            Hosts::Name(name) => name == "localhost" && host.eq_ignore_ascii_case(name) && address.is_loopback(),
            Hosts::Any | Hosts::Below(_) => false,
        }
    }
}

impl SocketRule {
    /// Returns true if a connection to `to` may be opened.
    #[must_use]
    pub fn admits(&self, to: SocketAddr) -> bool {
        self.port == to.port() && self.addresses.contains(&to.ip().to_canonical())
    }
}

/// Returns the address in `host`, in the form of a URL, or `None` if `host` is a name.
fn address(host: &str) -> Option<IpAddr> {
    let text = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// Returns true if an address belongs to the public internet: it is in none of the blocks that IANA's registries of
/// special-purpose addresses (RFC 6890) reserve for something else, is not multicast, and does not wrap an address of
/// another kind. An IPv4-mapped address counts as its IPv4 address.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    const NOT_PUBLIC_V4: [([u8; 4], u8); 15] = [
        ([0, 0, 0, 0], 8),
        ([10, 0, 0, 0], 8),
        ([100, 64, 0, 0], 10),
        ([127, 0, 0, 0], 8),
        // Azure's own service for its machines, at an address that IANA does not list as special.
        ([168, 63, 129, 16], 32),
        ([169, 254, 0, 0], 16),
        ([172, 16, 0, 0], 12),
        ([192, 0, 0, 0], 24),
        ([192, 0, 2, 0], 24),
        ([192, 88, 99, 0], 24),
        ([192, 168, 0, 0], 16),
        ([198, 18, 0, 0], 15),
        ([198, 51, 100, 0], 24),
        ([203, 0, 113, 0], 24),
        // Multicast and reserved addresses, up to the broadcast address.
        ([224, 0, 0, 0], 3),
    ];
    // IANA gives out only 2000::/3 of IPv6 as public addresses. These blocks in it are special.
    const NOT_PUBLIC_V6: [(Ipv6Addr, u8); 4] = [
        (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
        (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
        (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    ];
    let within = |(net, length): (IpAddr, u8)| IpNet::new_assert(net, length).contains(&address);
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let v4 = IpAddr::V4(v4);
            !NOT_PUBLIC_V4.into_iter().any(|(net, length)| IpNet::new_assert(net.into(), length).contains(&v4))
        }
        IpAddr::V6(v6) => {
            v6.octets()[0] >> 5 == 1 && !NOT_PUBLIC_V6.into_iter().map(|(net, length)| (net.into(), length)).any(within)
        }
    }
}

impl FromStr for HostRule {
    type Err = NetworkRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let no_host = || NetworkRuleError::Host(text.to_owned());
        if let Some((_, rest)) = text.split_once("://") {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
            return Err(NetworkRuleError::Url { found: text.to_owned(), host });
        }
        if let Some(net) = net(text) {
            return Ok(HostRule { hosts: Hosts::Addresses(net), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port_of(port).ok_or_else(|| NetworkRuleError::Port(text.to_owned()))?)),
            None => (text, None),
        };
        let hosts = if let Some(net) = net(host) {
            Hosts::Addresses(net)
        } else if host == "*" {
            Hosts::Any
        } else if let Some(name) = host.strip_prefix("*.") {
            Hosts::Below(format!(".{}", name_of(name).ok_or_else(no_host)?))
        } else {
            Hosts::Name(name_of(host).ok_or_else(no_host)?)
        };
        Ok(HostRule { hosts, port })
    }
}

impl FromStr for SocketRule {
    type Err = NetworkRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (addresses, port) = text
            .rsplit_once(':')
            .filter(|_| net(text).is_none())
            .and_then(|(addresses, port)| Some((net(addresses)?, port)))
            .ok_or_else(|| NetworkRuleError::Socket(text.to_owned()))?;
        let port = port_of(port).ok_or_else(|| NetworkRuleError::Port(text.to_owned()))?;
        Ok(SocketRule { addresses, port })
    }
}

/// Parses an address or a range of addresses: `10.0.0.5`, `10.0.0.0/8`, `fd00::1`, `[fd00::1]`, `[fd00::]/8`.
fn net(text: &str) -> Option<IpNet> {
    let bare = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) if address.contains(':') && (rest.is_empty() || rest.starts_with('/')) => {
            format!("{address}{rest}")
        }
        Some(_) => return None,
        None => text.to_owned(),
    };
    let net: IpNet =
        bare.parse().or_else(|_| bare.parse::<IpAddr>().map(|address| address.to_canonical().into())).ok()?;
    Some(net.trunc())
}

fn port_of(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0 && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Parses a name of the domain name system (RFC 1123, and underscores, which are in use). Returns it in lowercase.
fn name_of(text: &str) -> Option<String> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A text whose last label is a number is an address that was written wrongly.
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    let sane = text.len() <= 253 && text.split('.').all(is_label) && !text.rsplit('.').next().is_some_and(is_number);
    sane.then(|| text.to_ascii_lowercase())
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::Any => f.write_str("*")?,
            Hosts::Name(name) => f.write_str(name)?,
            Hosts::Below(suffix) => write!(f, "*{suffix}")?,
            Hosts::Addresses(net) => write_net(*net, f)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Display for SocketRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_net(self.addresses, f)?;
        write!(f, ":{}", self.port)
    }
}

fn write_net(net: IpNet, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match net.addr() {
        IpAddr::V4(address) => write!(f, "{address}")?,
        IpAddr::V6(address) => write!(f, "[{address}]")?,
    }
    if net.prefix_len() == net.max_prefix_len() { Ok(()) } else { write!(f, "/{}", net.prefix_len()) }
}

/// Makes rules the types of keys, written as texts.
macro_rules! row_types {
    ($($Rule:ident: $what:literal;)+) => {$(
        impl Serialize for $Rule {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl RowType for $Rule {
            type Bounds = ();

            fn what((): &()) -> &'static str {
                $what
            }

            fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
                node.parsed(problems, expected, str::parse)
            }

            fn schema((): &(), _: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string" })
            }
        }
    )+};
}

row_types! {
    HostRule: "a host";
    SocketRule: "an address with a port";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(text: &str) -> HostRule {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_admits_only_that_host_on_any_port_or_on_one() {
        let any_port = rule("API.example.com");
        assert!(any_port.admits("api.example.com", 443) && any_port.admits("api.EXAMPLE.com.", 8443));
        assert!(!any_port.admits("example.com", 443) && !any_port.admits("x.api.example.com", 443));
        assert!(!any_port.admits("api.example.com.evil.org", 443));
        let one_port = rule("api.example.com:8443");
        assert!(one_port.admits("api.example.com", 8443) && !one_port.admits("api.example.com", 443));
    }

    #[test]
    fn a_star_admits_all_names_below_a_name() {
        let below = rule("*.example.com");
        assert!(below.admits("a.example.com", 1) && below.admits("a.b.example.com", 1));
        assert!(
            !below.admits("example.com", 1) && !below.admits("badexample.com", 1) && !below.admits(".example.com", 1)
        );
    }

    #[test]
    fn addresses_and_ranges_admit_addresses() {
        let private = rule("10.0.0.0/8:8080");
        assert!(private.admits("10.1.2.3", 8080) && private.admits("[::ffff:10.1.2.3]", 8080));
        assert!(!private.admits("10.1.2.3", 80) && !private.admits("11.1.2.3", 8080));
        assert!(rule("[fd00::]/8").admits("[fd12::1]", 80) && rule("::1").admits("[::1]", 80));
        assert!(!rule("*.0.0.example").admits("10.0.0.1", 80));
    }

    #[test]
    fn a_star_alone_admits_every_public_host() {
        let any = rule("*:443");
        assert!(any.admits("example.com", 443) && any.admits("8.8.8.8", 443) && !any.admits("8.8.8.8", 80));
        for address in
            ["127.0.0.1", "10.0.0.1", "[::1]", "169.254.169.254", "168.63.129.16", "[::ffff:127.0.0.1]", "0.0.0.0"]
        {
            assert!(!any.admits(address, 443), "{address}");
        }
        assert!(!any.admits_address("example.com", "127.0.0.1:443".parse().unwrap()));
    }

    #[test]
    fn a_name_does_not_admit_the_private_address_that_it_leads_to() {
        let to = |text: &str| text.parse().unwrap();
        assert!(!rule("db.internal").admits_address("db.internal", to("10.0.0.5:80")));
        assert!(rule("10.0.0.0/8").admits_address("db.internal", to("10.0.0.5:80")));
        assert!(rule("10.0.0.5:80").admits_address("db.internal", to("[::ffff:10.0.0.5]:80")));
        assert!(!rule("10.0.0.5:81").admits_address("db.internal", to("10.0.0.5:80")));
        assert!(rule("localhost").admits_address("localhost", to("[::1]:80")));
        assert!(!rule("localhost").admits_address("example.com", to("127.0.0.1:80")));
        assert!(!rule("localhost").admits_address("localhost", to("10.0.0.5:80")));
    }

    #[test]
    fn sockets_have_an_address_and_a_port() {
        let rule: SocketRule = "10.0.0.0/8:5432".parse().unwrap();
        assert!(rule.admits("10.9.9.9:5432".parse().unwrap()) && !rule.admits("10.9.9.9:5433".parse().unwrap()));
        let rule: SocketRule = "[::1]:5432".parse().unwrap();
        assert!(rule.admits("[::1]:5432".parse().unwrap()));
        for text in ["10.0.0.5", "example.com:80", "::1", "::1:80", "10.0.0.5:", ":80", ""] {
            assert!(text.parse::<SocketRule>().is_err(), "{text}");
        }
        assert_eq!("10.0.0.5:0".parse::<SocketRule>(), Err(NetworkRuleError::Port("10.0.0.5:0".into())));
    }

    #[test]
    fn a_wrong_host_is_rejected_and_for_a_url_its_host_is_named() {
        for text in ["", "*.", "a..b", "-a.b", "a b", "example.com/v1", "1.2.3", "10.0.0.0/33", "[a]:80", "[::1", "*.*"]
        {
            assert!(text.parse::<HostRule>().is_err(), "{text}");
        }
        for text in ["example.com:", "example.com:0", "example.com:http", "example.com:65536", "example.com:+80"] {
            assert_eq!(text.parse::<HostRule>(), Err(NetworkRuleError::Port(text.into())));
        }
        let error = "https://api.example.com:8443/v1".parse::<HostRule>().unwrap_err();
        assert!(error.to_string().contains("\"api.example.com:8443\""), "{error}");
    }

    #[test]
    fn special_addresses_are_not_public() {
        let public =
            ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1", "223.255.255.255"];
        let special = [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "::7f00:1",
        ];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in special.into_iter().map(|text| text.parse().unwrap()) {
            assert!(!is_public(address), "{address}");
        }
        assert!(!is_public("::ffff:10.0.0.1".parse().unwrap()) && is_public("::ffff:8.8.8.8".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn a_written_rule_is_read_back_as_the_same_rule(
            host in prop_oneof![
                "[a-z]([a-z0-9]{0,5}\\.){0,2}[a-z]{1,5}",
                "\\*\\.[a-z]{1,5}",
                Just("*".to_owned()),
                any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
                any::<Ipv6Addr>().prop_map(|address| format!("[{address}]")),
                (any::<std::net::Ipv4Addr>(), 0..=32u8).prop_map(|(address, length)| format!("{address}/{length}")),
            ],
            port in prop::option::of(1u16..),
        ) {
            let text = port.map_or(host.clone(), |port| format!("{host}:{port}"));
            if let Ok(rule) = text.parse::<HostRule>() {
                prop_assert_eq!(rule.to_string().parse(), Ok(rule));
            } else {
                // The pattern makes only one kind of wrong name: one with two dots in a row.
                prop_assert!(host.contains(".."));
            }
        }

        #[test]
        fn no_text_makes_reading_panic(text in any::<String>()) {
            let _ = text.parse::<HostRule>();
            let _ = text.parse::<SocketRule>();
        }
    }
}

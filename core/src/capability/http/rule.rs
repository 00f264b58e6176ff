//! A rule of `network.hosts` in chain.toml, which permits requests to some hosts.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

use crate::config::NetworkRuleError;
use crate::config::address::{is_public, net, port_of, write_net};

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

/// Returns the address in `host`, in the form of a URL, or `None` if `host` is a name.
fn address(host: &str) -> Option<IpAddr> {
    let text = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
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

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

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
        }
    }
}

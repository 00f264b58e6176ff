//! A rule of `network.sockets` in chain.toml, which permits connections to some addresses.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::config::NetworkRuleError;
use crate::config::address::{net, port_of, write_net};

/// A rule that permits connections to some addresses at one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketRule {
    addresses: IpNet,
    port: u16,
}

impl SocketRule {
    /// Returns true if a connection to `to` may be opened.
    #[must_use]
    pub fn admits(&self, to: SocketAddr) -> bool {
        self.port == to.port() && self.addresses.contains(&to.ip().to_canonical())
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

impl fmt::Display for SocketRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_net(self.addresses, f)?;
        write!(f, ":{}", self.port)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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

    proptest! {
        #[test]
        fn no_text_makes_reading_panic(text in any::<String>()) {
            let _ = text.parse::<SocketRule>();
        }
    }
}

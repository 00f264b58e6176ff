//! The hosts that a chainlet may send requests to.

use std::net::SocketAddr;

use super::super::refusals::{Kind, Refusals};
use super::rule::HostRule;
use crate::config::{ChainletName, is_public};

/// The rules of one chainlet, from `network.hosts` in chain.toml.
pub(super) struct Hosts {
    rules: Vec<HostRule>,
    refusals: Refusals,
}

impl Hosts {
    pub(super) fn new(chainlet: &ChainletName, rules: &[HostRule]) -> Self {
        Hosts { rules: rules.to_vec(), refusals: Refusals::new(chainlet) }
    }

    /// Returns true if requests may go to `host`. Logs a refusal.
    pub(super) fn admits(&self, host: &str, port: u16) -> bool {
        let admitted = self.rules.iter().any(|rule| rule.admits(host, port));
        if !admitted {
            self.refusals.tell(Kind::Host, host, |host| {
                format!(
                    "a request to {host}:{port} was refused; to allow it, add \"{host}\" to network.hosts in chain.toml"
                )
            });
        }
        admitted
    }

    /// Returns true if requests to the allowed name `host` may go to the address `to`. Logs a refusal.
    pub(super) fn admits_address(&self, host: &str, to: SocketAddr) -> bool {
        let admitted = is_public(to.ip()) || self.rules.iter().any(|rule| rule.admits_address(host, to));
        if !admitted {
            let address = to.ip();
            self.refusals.tell(Kind::Host, host, |host| {
                format!(
                    "a request to {host} was refused, as the name leads to {address}, which is no public address; to allow \
                     it, add \"{address}\" to network.hosts in chain.toml"
                )
            });
        }
        admitted
    }
}

//! Where a chainlet may connect to, as chain.toml says it.

use std::net::SocketAddr;
use std::sync::Arc;

use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::sockets::SocketAddrUse;

use super::refused::{Kind, Refusals};
use crate::config::{self, HostRule, SocketRule, is_public};

/// What one chainlet may reach.
pub(super) struct Network {
    hosts: Vec<HostRule>,
    sockets: Vec<SocketRule>,
    refusals: Arc<Refusals>,
}

impl Network {
    pub(super) fn new(refusals: &Arc<Refusals>, network: &config::Network) -> Self {
        Network { hosts: network.hosts.clone(), sockets: network.sockets.clone(), refusals: refusals.clone() }
    }

    /// Whether requests may go to `host` at all.
    pub(super) fn admits(&self, host: &str, port: u16) -> bool {
        let admitted = self.hosts.iter().any(|rule| rule.admits(host, port));
        if !admitted {
            self.refusals.tell(Kind::Host, host, |host| {
                format!(
                    "a request to {host}:{port} was refused; to allow it, add \"{host}\" to network.hosts in chain.toml"
                )
            });
        }
        admitted
    }

    /// Whether the name `host`, to which requests may go, may lead to the address `to`.
    pub(super) fn admits_address(&self, host: &str, to: SocketAddr) -> bool {
        let admitted = is_public(to.ip()) || self.hosts.iter().any(|rule| rule.admits_address(host, to));
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

    /// Lets the guest open the sockets that it may.
    pub(super) fn open(self: &Arc<Self>, builder: &mut WasiCtxBuilder) {
        if self.sockets.is_empty() {
            return;
        }
        let network = self.clone();
        builder.allow_tcp(true).socket_addr_check(move |to, usage| {
            let admitted = match usage {
                SocketAddrUse::TcpConnect => network.sockets.iter().any(|rule| rule.admits(to)),
                // Whatever connects is bound to some address of this machine first.
                SocketAddrUse::TcpBind => to.ip().is_unspecified() && to.port() == 0,
                _ => false,
            };
            if !admitted {
                network.tell(to, usage);
            }
            Box::pin(async move { admitted })
        });
    }

    fn tell(&self, to: SocketAddr, usage: SocketAddrUse) {
        let connects = matches!(usage, SocketAddrUse::TcpConnect);
        // One that is bound is no other thing than one that connects to the same address.
        let name = if connects { to.to_string() } else { format!("bound to {to}") };
        self.refusals.tell(Kind::Socket, &name, |_| match connects {
            true => format!(
                "a connection to {to} was refused; to allow it, add \"{to}\" to network.sockets in chain.toml"
            ),
            false => format!(
                "a socket at the address {to} of this machine was refused; no key of chain.toml allows it: chainlets connect, \
                 and do not listen"
            ),
        });
    }
}

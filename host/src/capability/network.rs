//! Where a chainlet may connect to, as chain.toml says it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::sockets::SocketAddrUse;

use crate::config::{self, ChainletName, HostRule, SocketRule, is_public};

/// How many refused hosts are told of in the log: a guest makes them up as it likes.
const TOLD: usize = 16;

/// What one chainlet may reach.
pub(super) struct Network {
    chainlet: ChainletName,
    hosts: Vec<HostRule>,
    sockets: Vec<SocketRule>,
    /// The refused hosts that the log tells of.
    told: Mutex<BTreeSet<String>>,
}

impl Network {
    pub(super) fn new(chainlet: &ChainletName, network: &config::Network) -> Self {
        Network {
            chainlet: chainlet.clone(),
            hosts: network.hosts.clone(),
            sockets: network.sockets.clone(),
            told: Mutex::default(),
        }
    }

    /// Whether requests may go to `host` at all.
    pub(super) fn admits(&self, host: &str, port: u16) -> bool {
        let admitted = self.hosts.iter().any(|rule| rule.admits(host, port));
        if !admitted {
            self.tell(host, || {
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
            self.tell(host, || {
                format!(
                    "a request to {host} was refused, as the name leads to {address}, which is no public address; to allow \
                     it, add \"{address}\" to network.hosts in chain.toml"
                )
            });
        }
        admitted
    }

    /// Tells the operator, once for each host, which entry of chain.toml is missing.
    fn tell(&self, host: &str, what: impl FnOnce() -> String) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD && told.insert(host.to_owned()) {
            let chainlet = &self.chainlet;
            tracing::warn!(%chainlet, host, limit = %format_args!("chainlets.{chainlet}.network.hosts"), "{}", what());
        }
    }

    /// Lets the guest open the sockets that it may.
    pub(super) fn open(self: &std::sync::Arc<Self>, builder: &mut WasiCtxBuilder) {
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
            Box::pin(async move { admitted })
        });
    }
}

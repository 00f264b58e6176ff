//! TCP connections to the addresses that chain.toml names, through `wasi:sockets`.

mod refused;
mod rule;

use std::net::SocketAddr;
use std::sync::Arc;

use wasmtime::component::Linker;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::sockets::SocketAddrUse;

pub use self::rule::SocketRule;
use super::refusals::{Kind, Refusals};
use super::{Capability, GrantRequest, Row, StateError, listed};
use crate::chainlet::state::ReplicaState;
use crate::config::ConfigError;

/// The capability.
pub(super) struct Sockets;

/// The addresses that one chainlet may connect to.
pub(super) struct Addresses {
    rules: Vec<SocketRule>,
    refusals: Arc<Refusals>,
}

impl Capability for Sockets {
    type Grant = Addresses;
    type State = Arc<Refusals>;

    fn name(&self) -> &'static str {
        "sockets"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["wasi:sockets/tcp", "wasi:sockets/udp", "wasi:sockets/ip-name-lookup"]
    }

    fn add_to_linker(&self, linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
        refused::add_to_linker(linker)
    }

    async fn grant(&self, chainlet: &GrantRequest<'_>) -> Result<Addresses, ConfigError> {
        let rules = chainlet.chainlet.network.sockets.clone();
        Ok(Addresses { rules, refusals: Arc::new(Refusals::new(chainlet.name)) })
    }

    fn state(&self, allowed: &Arc<Addresses>, _: u32, wasi: &mut WasiCtxBuilder) -> Result<Arc<Refusals>, StateError> {
        allowed.open(wasi);
        Ok(allowed.refusals.clone())
    }

    fn rows(&self, chainlet: &GrantRequest<'_>) -> Vec<Row> {
        let sockets = &chainlet.chainlet.network.sockets;
        if sockets.is_empty() { Vec::new() } else { vec![Row::new("sockets", listed(sockets))] }
    }
}

impl Addresses {
    /// Lets the guest of one replica open the sockets that it may.
    fn open(self: &Arc<Self>, builder: &mut WasiCtxBuilder) {
        if self.rules.is_empty() {
            return;
        }
        let allowed = self.clone();
        builder.allow_tcp(true).socket_addr_check(move |to, usage| {
            let admitted = match usage {
                SocketAddrUse::TcpConnect => allowed.rules.iter().any(|rule| rule.admits(to)),
                // Whatever connects is bound to some address of this machine first.
                SocketAddrUse::TcpBind => to.ip().is_unspecified() && to.port() == 0,
                _ => false,
            };
            if !admitted {
                allowed.tell(to, usage);
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

//! Sockets that a chainlet may not open, and names that it may not look up.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{self, ResolveAddressStream};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, Host as _, IpAddressFamily, Network};
use wasmtime_wasi::p2::bindings::sockets::{tcp_create_socket, udp_create_socket};
use wasmtime_wasi::p2::{SocketResult, TcpSocket, UdpSocket};
use wasmtime_wasi::sockets::WasiSocketsView as _;

use super::super::refusals::{Kind, Refusals};
use super::Sockets;
use crate::chainlet::state::ReplicaState;

/// The functions, and the interfaces in which they are, as wasmtime-wasi names them.
const CREATE_TCP: (&str, &str) = ("wasi:sockets/tcp-create-socket@0.2.12", "create-tcp-socket");
const CREATE_UDP: (&str, &str) = ("wasi:sockets/udp-create-socket@0.2.12", "create-udp-socket");
const LOOK_UP: (&str, &str) = ("wasi:sockets/ip-name-lookup@0.2.12", "resolve-addresses");

type Store<'a> = StoreContextMut<'a, ReplicaState>;

pub(super) fn add_to_linker(linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
    // These functions replace those of wasmtime-wasi.
    linker.allow_shadowing(true);
    let (interface, name) = CREATE_TCP;
    linker.instance(interface)?.func_wrap(name, |mut store: Store<'_>, (family,): (IpAddressFamily,)| {
        let socket: SocketResult<Resource<TcpSocket>> =
            tcp_create_socket::Host::create_tcp_socket(&mut store.data_mut().sockets(), family);
        returned(&mut store, socket, |refusals| {
            refusals.tell(Kind::Socket, "tcp", |_| {
                "a TCP socket was refused; to allow connections, add their addresses, such as \"10.0.0.5:5432\", to \
                 network.sockets in chain.toml"
                    .to_owned()
            });
        })
    })?;
    let (interface, name) = CREATE_UDP;
    linker.instance(interface)?.func_wrap_async(name, |mut store: Store<'_>, (family,): (IpAddressFamily,)| {
        Box::new(async move {
            let socket: SocketResult<Resource<UdpSocket>> =
                udp_create_socket::Host::create_udp_socket(&mut store.data_mut().sockets(), family).await;
            returned(&mut store, socket, |refusals| {
                refusals.tell(Kind::Socket, "udp", |_| {
                    "a UDP socket was refused; no key of chain.toml allows UDP: chainlets have TCP connections to the \
                     addresses in network.sockets"
                        .to_owned()
                });
            })
        })
    })?;
    let (interface, name) = LOOK_UP;
    linker.instance(interface)?.func_wrap(
        name,
        |mut store: Store<'_>, (network, host): (Resource<Network>, String)| {
            let addresses: SocketResult<Resource<ResolveAddressStream>> =
                ip_name_lookup::Host::resolve_addresses(&mut store.data_mut().sockets(), network, host.clone());
            returned(&mut store, addresses, |refusals| {
                refusals.tell(Kind::Lookup, &host, |host| {
                    format!(
                        "the name {host} was not looked up, as names are not looked up for sockets; use an address that is in \
                         network.sockets of chain.toml, or send HTTP requests to it and add \"{host}\" to network.hosts"
                    )
                });
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Returns `outcome` to the guest, after `tell` where it was refused.
fn returned<T>(
    store: &mut Store<'_>,
    outcome: SocketResult<T>,
    tell: impl FnOnce(&Refusals),
) -> wasmtime::Result<(Result<T, ErrorCode>,)> {
    let error = match outcome {
        Ok(value) => return Ok((Ok(value),)),
        Err(error) => store.data_mut().sockets().convert_error_code(error)?,
    };
    if matches!(error, ErrorCode::AccessDenied | ErrorCode::PermanentResolverFailure) {
        tell(store.data().of::<Sockets>());
    }
    Ok((Err(error),))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::tests::stands_in;

    #[test]
    fn the_functions_of_sockets_stand_in_for_those_of_wasmtime_wasi() {
        for function in [CREATE_TCP, CREATE_UDP, LOOK_UP] {
            assert!(stands_in(function), "{function:?}");
        }
    }
}

//! Writing to stdout and stderr through WASI 0.2, with the knowledge of whose call writes.
//!
//! wasmtime-wasi gives a stream no more than the bytes. So the two functions that write them are defined once more here,
//! where the store says which call is running, and then do what wasmtime-wasi does. All streams share these functions,
//! files and connections as well: for them the call is looked up in vain, which costs far less than their writing.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::p2::bindings::io::streams::{self, Host as _, HostOutputStream as _};
use wasmtime_wasi::p2::{DynOutputStream, StreamResult};

use super::{Attributed, StandardOutput};
use crate::chainlet::state::ReplicaState;

/// The interface, as wasmtime-wasi names it.
const STREAMS: &str = "wasi:io/streams@0.2.12";
const WRITE: &str = "[method]output-stream.write";
const WRITE_AND_FLUSH: &str = "[method]output-stream.blocking-write-and-flush";

type Params = (Resource<DynOutputStream>, Vec<u8>);
type Returned = (Result<(), streams::StreamError>,);

/// Adds the functions, over those of wasmtime-wasi.
pub(super) fn add_to_linker(linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
    // These functions replace those of wasmtime-wasi.
    linker.allow_shadowing(true);
    let mut streams = linker.instance(STREAMS)?;
    streams.func_wrap(WRITE, |mut store: StoreContextMut<'_, ReplicaState>, (stream, bytes): Params| {
        let _attributed = attribute(&mut store);
        let written = store.data_mut().ctx().table.write(stream, bytes);
        returned(&mut store, written)
    })?;
    streams.func_wrap_async(
        WRITE_AND_FLUSH,
        |mut store: StoreContextMut<'_, ReplicaState>, (stream, bytes): Params| {
            Box::new(async move {
                // Nothing else runs in the store until the function returns.
                let _attributed = attribute(&mut store);
                let written = store.data_mut().ctx().table.blocking_write_and_flush(stream, bytes).await;
                returned(&mut store, written)
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

fn attribute(store: &mut StoreContextMut<'_, ReplicaState>) -> Attributed {
    let request = ReplicaState::current_call(store).and_then(|call| call.context.request.clone());
    store.data().of::<StandardOutput>().attribute(request)
}

fn returned(store: &mut StoreContextMut<'_, ReplicaState>, written: StreamResult<()>) -> wasmtime::Result<Returned> {
    match written {
        Ok(()) => Ok((Ok(()),)),
        Err(error) => Ok((Err(store.data_mut().ctx().table.convert_stream_error(error)?),)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::tests::stands_in;

    #[test]
    fn the_functions_of_streams_stand_in_for_those_of_wasmtime_wasi() {
        for name in [WRITE, WRITE_AND_FLUSH] {
            assert!(stands_in((STREAMS, name)), "{name}");
        }
    }
}

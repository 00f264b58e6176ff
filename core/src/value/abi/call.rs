//! Calling any export and serving any import with [`Value`]s.
//!
//! wasmtime decides by Rust types how many core-wasm values a call has. So there is one instantiation of [`Flat`] for
//! each count, and a function's [`Signature`] decides which one fits.

use std::pin::Pin;
use std::sync::Arc;

use futures::future::BoxFuture;
use wasmtime::component::{Accessor, Func, GuestTaskId, LinkerInstance};
use wasmtime::{AsContextMut, Result, StoreContextMut, bail};

use super::stream::{HasStreams, KeepAlive, connect};
use super::{Flat, MAX_FLAT};
use crate::memory::{NoRoom, Reservation};
use crate::value::{Signature, Type, Value};

/// A `run-remote` that an instance exports.
#[derive(Clone, Copy)]
pub struct Export {
    func: Func,
    /// The number of core-wasm values of a result; 1 if the result goes through memory.
    result_slots: usize,
    streams: bool,
}

impl Export {
    /// Wraps the function `func`, whose type is `signature`.
    pub fn new(func: Func, signature: &Signature) -> Self {
        let limit = if signature.is_async { MAX_FLAT } else { 1 };
        let count = flat_count(signature.result.iter());
        let result_slots = if count > limit { 1 } else { count };
        Export { func, result_slots, streams: signature.has_streams() }
    }

    /// Returns true if the function takes or returns a stream or a future.
    pub fn has_streams(&self) -> bool {
        self.streams
    }

    /// Calls the function within its store's `run_concurrent`. Other calls go on meanwhile.
    ///
    /// `reservation` is kept until the parameters are in the guest's memory. `started` is called with the guest task
    /// that serves the call before the guest runs. `held` is kept until the guest has ended every stream of its result.
    ///
    /// # Errors
    ///
    /// The values do not fit the function's type, the guest broke the canonical ABI, or the host has no room for the result
    /// ([`NoRoom`]). A trap of the guest is not
    /// returned here: it ends the `run_concurrent` that drives the store.
    pub(crate) async fn call<T: HasStreams>(
        &self,
        accessor: &Accessor<T>,
        params: Vec<Value>,
        reservation: Option<Reservation>,
        held: Option<&KeepAlive>,
        started: impl FnOnce(StoreContextMut<'_, T>, GuestTaskId),
    ) -> Result<Lifted> {
        let params = Flat { reservation, ..Flat::new(params) };
        macro_rules! with_slots {
            ($($n:literal)*) => {
                match self.result_slots {
                    $($n => self.call_with::<T, $n>(accessor, params, held, started).await,)*
                    slots => bail!("a result of {slots} core-wasm values"),
                }
            };
        }
        with_slots!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
    }

    async fn call_with<T: HasStreams, const N: usize>(
        &self,
        accessor: &Accessor<T>,
        params: Flat<MAX_FLAT>,
        held: Option<&KeepAlive>,
        started: impl FnOnce(StoreContextMut<'_, T>, GuestTaskId),
    ) -> Result<Lifted> {
        let (func, call) = accessor.with(|mut access| {
            let func = self.func.typed::<Flat<MAX_FLAT>, Flat<N>>(access.as_context_mut())?;
            let call = func.start_call_concurrent(access.as_context_mut(), params)?;
            started(access.as_context_mut(), call.task());
            Ok::<_, wasmtime::Error>((func, call))
        })?;
        let Flat { mut values, opened, reservation, no_room } = func.finish_call_concurrent(accessor, call).await?;
        if !opened.is_empty() {
            accessor.with(|mut access| connect(access.as_context_mut(), opened, held))?;
        }
        match no_room {
            None => Ok(Lifted { value: values.pop(), reservation }),
            Some(no_room) => Err(no_room.into()),
        }
    }
}

/// The result of a call.
pub(crate) struct Lifted {
    /// The value, if the function returns one.
    pub value: Option<Value>,
    /// The part of the host's budget that a large value holds.
    pub reservation: Option<Reservation>,
}

/// The parameters of a call that a guest makes.
pub(crate) struct Passed {
    /// The values, in the order of the parameters.
    pub values: Vec<Value>,
    /// The part of the host's budget that large values hold.
    pub reservation: Option<Reservation>,
}

/// The host's side of an import: it answers a guest's calls.
pub(crate) trait Import<T>: Send + Sync + 'static {
    /// Begins the call. The caller polls the returned future while the guest's other work goes on.
    ///
    /// `params` is an error if the host has no room for them. An error that is returned traps the guest, so return one only
    /// for a fault that no guest may survive. An outcome that the guest must see is a value.
    fn call(
        &self,
        store: StoreContextMut<'_, T>,
        params: Result<Passed, NoRoom>,
    ) -> BoxFuture<'static, Result<Option<Value>>>;
}

/// Defines the function `name`, of type `signature`, of an imported instance.
///
/// # Errors
///
/// The name is taken.
pub(crate) fn define<T: HasStreams>(
    instance: &mut LinkerInstance<'_, T>,
    name: &str,
    signature: &Signature,
    import: Arc<dyn Import<T>>,
) -> Result<()> {
    // Parameters above the flat limit come through memory, whatever their type.
    let params = match flat_count(signature.params.iter().filter_map(|param| param.ty.as_ref())) {
        count if count <= MAX_FLAT => count,
        _ => 0,
    };
    let results = usize::from(flat_count(signature.result.iter()) == 1);
    macro_rules! with_slots {
        ($($p:literal)*) => {
            match (params, results) {
                $(($p, 0) => define_with::<T, $p, 0>(instance, name, signature.is_async, import),)*
                $(($p, _) => define_with::<T, $p, 1>(instance, name, signature.is_async, import),)*
                (params, _) => bail!("parameters of {params} core-wasm values"),
            }
        };
    }
    with_slots!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
}

fn define_with<T: HasStreams, const P: usize, const R: usize>(
    instance: &mut LinkerInstance<'_, T>,
    name: &str,
    is_async: bool,
    import: Arc<dyn Import<T>>,
) -> Result<()> {
    if is_async {
        instance.func_wrap_concurrent(name, move |accessor: &Accessor<T>, params: Flat<P>| {
            let call = accessor.with(|mut access| begin(access.as_context_mut(), &*import, params));
            Box::pin(answer::<R>(call)) as Pin<Box<dyn Future<Output = Result<Flat<R>>> + Send>>
        })
    } else {
        instance
            .func_wrap_async(name, move |store, params: Flat<P>| Box::new(answer::<R>(begin(store, &*import, params))))
    }
}

type ImportFuture = BoxFuture<'static, Result<Option<Value>>>;

fn begin<T: HasStreams, const P: usize>(
    mut store: StoreContextMut<'_, T>,
    import: &dyn Import<T>,
    params: Flat<P>,
) -> ImportFuture {
    let Flat { values, opened, reservation, no_room } = params;
    if !opened.is_empty()
        && let Err(error) = connect(store.as_context_mut(), opened, None)
    {
        return Box::pin(async { Err(error) });
    }
    import.call(store, no_room.map_or(Ok(Passed { values, reservation }), Err))
}

async fn answer<const R: usize>(call: ImportFuture) -> Result<Flat<R>> {
    Ok(Flat::new(call.await?.into_iter().collect()))
}

/// Returns how many core-wasm values `types` take together, as the canonical ABI flattens them.
fn flat_count<'a>(types: impl Iterator<Item = &'a Type>) -> usize {
    types.map(flat_count_of).sum()
}

fn flat_count_of(ty: &Type) -> usize {
    match ty {
        Type::String | Type::List(_) | Type::Map { .. } => 2,
        Type::Option(some) => 1 + flat_count_of(some),
        Type::Result { ok, err } => {
            1 + [ok, err].into_iter().flatten().map(|ty| flat_count_of(ty)).max().unwrap_or_default()
        }
        Type::Tuple(types) => flat_count(types.iter()),
        Type::Record(declared) => flat_count(declared.members.iter().filter_map(|member| member.ty.as_ref())),
        Type::Variant(declared) => {
            let payloads = declared.members.iter().filter_map(|member| member.ty.as_ref());
            1 + payloads.map(flat_count_of).max().unwrap_or_default()
        }
        Type::Flags(declared) => declared.members.len().div_ceil(32),
        _ => 1,
    }
}

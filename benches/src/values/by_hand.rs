//! The same two components with an edge that is written by hand in wasmtime, for this pair alone: each component in a
//! store of its own, a task that owns the callee's store, and a channel to that task.
//!
//! It makes one call at a time, and has no deadline, no limits and no second replica. All of it runs on one thread,
//! which is the fastest way: with several threads, a call often wakes a thread that does not help.

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use wasmtime::component::{Component, ComponentType, Func, Instance, Lift, Linker, Lower, TypedFunc, Val};
use wasmtime::{Engine, Result, Store, format_err};

use crate::bare::{self, State};

/// More than the size of any value here, as wasmtime counts it.
const HOSTCALL_FUEL: usize = 1 << 30;

/// Both components and their fusion, compiled, and the runtime for them.
pub struct Components {
    runtime: Runtime,
    engine: Engine,
    echo: Component,
    sender: Component,
    fused: Component,
}

/// A sender, with an echo behind the one interface for which it was made.
pub struct ByHand<'a> {
    runtime: &'a Runtime,
    store: Store<State>,
    run_remote: TypedFunc<(String, u32, u32), (u64,)>,
}

/// A value on its way, and the channel for its return.
type Call<V> = (V, oneshot::Sender<V>);

impl Components {
    pub fn new(echo: &[u8], sender: &[u8], fused: &[u8]) -> Result<Self> {
        let runtime = Builder::new_current_thread().build()?;
        let engine = bare::engine()?;
        let echo = Component::from_binary(&engine, echo)?;
        let sender = Component::from_binary(&engine, sender)?;
        let fused = Component::from_binary(&engine, fused)?;
        Ok(Components { runtime, engine, echo, sender, fused })
    }

    /// Makes the edge with the static type `T` for the interface `what`.
    pub fn typed<T>(&self, what: &str) -> Result<ByHand<'_>>
    where
        T: ComponentType + Lift + Lower + Send + Sync + 'static,
    {
        let (mut store, func) = self.echo(what)?;
        let func = func.typed::<(T,), (T,)>(&store)?;
        let (calls, mut next) = mpsc::channel::<Call<T>>(16);
        self.runtime.spawn(async move {
            store
                .run_concurrent(async |accessor| {
                    while let Some((value, back)) = next.recv().await {
                        let (value,) = func.call_concurrent(accessor, (value,)).await?;
                        // The receiver is gone if a benchmark ends in the middle of a call.
                        let _ = back.send(value);
                    }
                    Ok::<_, wasmtime::Error>(())
                })
                .await?
        });
        let mut linker = bare::linker(&self.engine)?;
        linker.instance(&interface(what))?.func_wrap_concurrent("run-remote", move |_, (value,): (T,)| {
            let calls = calls.clone();
            Box::pin(async move { Ok((through(&calls, value).await?,)) })
        })?;
        self.sender(linker)
    }

    /// Makes the edge with wasmtime's own dynamic values.
    pub fn dynamic(&self, what: &str) -> Result<ByHand<'_>> {
        let (mut store, func) = self.echo(what)?;
        let (calls, mut next) = mpsc::channel::<Call<Val>>(16);
        self.runtime.spawn(async move {
            store
                .run_concurrent(async |accessor| {
                    while let Some((value, back)) = next.recv().await {
                        let mut results = [Val::Bool(false)];
                        func.call_concurrent(accessor, &[value], &mut results).await?;
                        let [value] = results;
                        // The same as above.
                        let _ = back.send(value);
                    }
                    Ok::<_, wasmtime::Error>(())
                })
                .await?
        });
        let mut linker = bare::linker(&self.engine)?;
        linker.instance(&interface(what))?.func_new_concurrent("run-remote", move |_, _, params, results| {
            let (calls, value) = (calls.clone(), params.first().cloned());
            Box::pin(async move {
                let value = value.ok_or_else(|| format_err!("a call without its parameter"))?;
                let value = through(&calls, value).await?;
                *results.first_mut().ok_or_else(|| format_err!("a call without a result"))? = value;
                Ok(())
            })
        })?;
        self.sender(linker)
    }

    /// Makes both in one component, without an edge between them.
    pub fn fused(&self) -> Result<ByHand<'_>> {
        self.instance(bare::linker(&self.engine)?, &self.fused)
    }

    fn echo(&self, what: &str) -> Result<(Store<State>, Func)> {
        let mut store = self.store();
        let linker = bare::linker(&self.engine)?;
        let instance = self.runtime.block_on(linker.instantiate_async(&mut store, &self.echo))?;
        let func = exported(&mut store, &instance, &interface(what));
        Ok((store, func.ok_or_else(|| format_err!("the echo has no interface {what}"))?))
    }

    fn sender(&self, mut linker: Linker<State>) -> Result<ByHand<'_>> {
        linker.define_unknown_imports_as_traps(&self.sender)?;
        self.instance(linker, &self.sender)
    }

    fn instance(&self, linker: Linker<State>, component: &Component) -> Result<ByHand<'_>> {
        let mut store = self.store();
        let instance = self.runtime.block_on(linker.instantiate_async(&mut store, component))?;
        let run_remote = instance.get_typed_func(&mut store, "run-remote")?;
        Ok(ByHand { runtime: &self.runtime, store, run_remote })
    }

    fn store(&self) -> Store<State> {
        let mut store = bare::store(&self.engine);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        store
    }
}

impl ByHand<'_> {
    /// Calls the sender. Returns the number of elements that came back.
    pub fn call(&mut self, what: &str, length: u32, times: u32) -> Result<u64> {
        let (run_remote, params) = (self.run_remote, (what.to_string(), length, times));
        let call = self.store.run_concurrent(async |accessor| run_remote.call_concurrent(accessor, params).await);
        let (came_back,) = self.runtime.block_on(call)??;
        Ok(came_back)
    }
}

/// Sends `value` to the task of the callee, and waits for its return.
async fn through<V>(calls: &mpsc::Sender<Call<V>>, value: V) -> Result<V> {
    let (back, answer) = oneshot::channel();
    calls.send((value, back)).await.map_err(|_| format_err!("the callee has ended"))?;
    Ok(answer.await?)
}

fn interface(what: &str) -> String {
    format!("bench:values/{what}")
}

fn exported(store: &mut Store<State>, instance: &Instance, interface: &str) -> Option<Func> {
    let index = instance.get_export_index(&mut *store, None, interface)?;
    let index = instance.get_export_index(&mut *store, Some(&index), "run-remote")?;
    instance.get_func(store, index)
}

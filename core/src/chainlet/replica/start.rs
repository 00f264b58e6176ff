//! The start of a replica: its store, its instance, `init`, and the task that drives it.

use std::pin::pin;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use wasmtime::Store;
use wasmtime_wasi::WasiCtx;

use super::super::driver::{Driver, Panicked};
use super::super::health::Monitor;
use super::super::limits::{self, MemoryLimit};
use super::super::pool::Pool;
use super::super::question::{Question, Unwell};
use super::super::state::ReplicaState;
use super::death::{self, Death};
use super::serve::{Ended, serve_all};
use super::{Replica, ReplicaTemplate, Wear};
use crate::error::{CallError, ErrorKind};
use crate::guest_words::{SENTENCE, clip};
use crate::value::abi::call::Export;
use crate::value::abi::stream::{EndOfStreams, HasStreams};

/// A replica that has started, and its task.
pub(in crate::chainlet) struct Running {
    pub replica: Arc<Replica>,
    pub task: JoinHandle<Death>,
}

/// An instance that has run its `init`, and has no task yet.
struct Initialised {
    /// Declared before the store, so that it is dropped first.
    streams: EndOfStreams,
    store: Store<ReplicaState>,
    export: Export,
    health: Option<Question>,
}

impl ReplicaTemplate {
    /// Instantiates the component and runs its `init`, exactly once. Then the replica takes calls.
    ///
    /// The start is driven in the same way as the replica later: within its share of a processor. A panic of the host's
    /// own code ends only this start.
    pub(in crate::chainlet) async fn start(
        self: &Arc<Self>,
        number: u32,
        pool: &Arc<Pool>,
    ) -> Result<Running, CallError> {
        let _span = tracing::debug_span!(parent: None, "start", chainlet = %self.name, replica = number);
        let start = Driver::new(self.cpu).run(self.host_memory.clone().around({
            let template = self.clone();
            async move { template.initialise(number).await }
        }));
        let Initialised { streams, mut store, export, health } = match timeout(self.start_timeout, start).await {
            Ok(Ok(initialised)) => initialised?,
            Ok(Err(Panicked(message))) => {
                let message = format_args!("starting a replica panicked, which is a bug of chainhost: {message}");
                return Err(CallError::new(ErrorKind::Internal, &self.name, message));
            }
            Err(_) => {
                let limit = humantime::format_duration(self.start_timeout);
                let message = format_args!("its start took longer than its start_timeout of {limit}, `init` included");
                return Err(self.error(message).limited_by_key("start_timeout"));
            }
        };
        let replica = Replica::new(number, self.cpu);
        let monitor = Monitor {
            replica: replica.clone(),
            pool: pool.clone(),
            policy: self.health,
            name: self.name.clone(),
            number,
        };
        let lost = store.data_mut().lost();
        let serving = serve_all(streams, store, export, replica.clone(), health, monitor, self.name.clone());
        let driven = replica.driver.run(self.host_memory.clone().around(serving));
        let task = tokio::spawn({
            let (closed_at_the_end, pool) = (CloseInbox(replica.clone()), pool.clone());
            async move {
                let (mut driven, mut lost) = (pin!(driven), lost);
                let ended = tokio::select! {
                    biased;
                    ended = &mut driven => ended,
                    loss = &mut lost => {
                        closed_at_the_end.0.wear_out(Wear::Lost(loss));
                        driven.await
                    }
                };
                let death = match ended {
                    Ok(Ended { death, store }) => {
                        // Retires the replica first: dropping the store frees the places of its calls, and they must
                        // not go to calls in line.
                        pool.retire(&closed_at_the_end.0);
                        drop(store);
                        death
                    }
                    Err(Panicked(message)) => {
                        pool.retire(&closed_at_the_end.0);
                        let what = "driving the replica panicked, which is a bug of chainhost";
                        Death::new(ErrorKind::Internal, format!("{what}: {message}"))
                    }
                };
                drop(closed_at_the_end);
                death
            }
        });
        Ok(Running { replica, task })
    }

    async fn initialise(&self, number: u32) -> Result<Initialised, CallError> {
        let failed = |what: &str, error: &wasmtime::Error, state: &ReplicaState| {
            let death = Death::of(error, state, &self.name);
            let failed = death.as_failure(self.error(format_args!("{what}: {}", death.message)));
            if death::lack(error).is_some() { failed.of_the_machine() } else { failed }
        };
        // The guest sees nothing of the machine but what the capabilities add.
        let mut wasi = WasiCtx::builder();
        let states = self.grants.states(number, &mut wasi).map_err(|error| match error.is_of_the_machine {
            true => self.error(error).of_the_machine(),
            false => self.error(error),
        })?;
        let memory = MemoryLimit::new(self.memory);
        let state = ReplicaState::new(&self.name, states, wasi.build(), memory, self.values, &self.host_memory);
        let mut store = Store::new(self.instance.engine(), state);
        // Declared after the store, so that it is dropped before it.
        let streams = store.data().streams().end_with();
        limits::impose(&mut store);
        // A guest that computes yields at every tick of the engine's epoch.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);

        let instance = match self.instance.instantiate_async(&mut store).await {
            Ok(instance) => instance,
            Err(error) => {
                return Err(failed("the component does not start", &error, store.data()));
            }
        };
        let export = {
            let interface = &self.component.run_remote.interface;
            let parent = match interface {
                Some(interface) => instance.get_export_index(&mut store, None, interface),
                None => None,
            };
            let func = match interface.is_some() == parent.is_some() {
                true => instance
                    .get_export_index(&mut store, parent.as_ref(), "run-remote")
                    .and_then(|index| instance.get_func(&mut store, index)),
                false => None,
            };
            func.map(|func| Export::new(func, &self.signature)).ok_or_else(|| {
                CallError::new(ErrorKind::Internal, &self.name, "the instance lacks the `run-remote` of its component")
            })?
        };
        let question = |store: &mut Store<ReplicaState>, interface: &Option<String>, name| match interface {
            Some(interface) => {
                Question::new(store, &instance, interface, name).map(Some).map_err(|what| self.error(what))
            }
            None => Ok(None),
        };
        if let Some(init) = question(&mut store, &self.component.init, "init")? {
            let outcome = store.run_concurrent(async |accessor| init.ask(accessor).await).await;
            match outcome.and_then(|outcome| outcome) {
                Ok(Ok(())) => {}
                Ok(Err(Unwell::Guest(words))) => {
                    return Err(self.error(format_args!("`init` failed: {}", clip(words, SENTENCE))));
                }
                Ok(Err(Unwell::Dependency(error))) => return Err(error),
                Err(error) => return Err(failed("`init` trapped", &error, store.data())),
            }
        }
        let health = question(&mut store, &self.component.health, "is-healthy")?;
        Ok(Initialised { streams, store, export, health })
    }

    fn error(&self, message: impl std::fmt::Display) -> CallError {
        CallError::new(ErrorKind::NotReady, &self.name, message)
    }
}

/// Closes the inbox on drop, so that no call stays in the inbox of a replica whose task has ended.
struct CloseInbox(Arc<Replica>);

impl Drop for CloseInbox {
    fn drop(&mut self) {
        self.0.inbox.close();
    }
}

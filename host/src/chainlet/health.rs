//! A guest's own judgement of its condition: `chainlet:host/health`, asked from time to time.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use tokio::time::MissedTickBehavior;
use wasmtime::component::{Accessor, Instance, TypedFunc};
use wasmtime::{AsContextMut, Store};

use super::call::{Call, CallContext, Reply};
use super::pool::Pool;
use super::replica::{Replica, Wear};
use super::state::State;
use crate::config::{ChainletName, Health};
use crate::guest_words::{SENTENCE, clip};

/// The function that asks a guest.
#[derive(Clone, Copy)]
pub(super) struct Probe(TypedFunc<(), (Result<(), String>,)>);

/// Where a replica's health is told.
pub(super) struct Monitor {
    pub replica: Arc<Replica>,
    pub pool: Arc<Pool>,
    pub policy: Health,
    pub name: ChainletName,
    pub number: u32,
}

impl Probe {
    /// The `is-healthy` of the exported `interface`.
    pub(super) fn new(store: &mut Store<State>, instance: &Instance, interface: &str) -> Result<Self, String> {
        instance
            .get_export_index(&mut *store, None, interface)
            .and_then(|parent| instance.get_export_index(&mut *store, Some(&parent), "is-healthy"))
            .and_then(|index| instance.get_typed_func(&mut *store, index).ok())
            .map(Probe)
            .ok_or_else(|| format!("`{interface}` is exported without `is-healthy: async func() -> result<_, string>`"))
    }

    /// The guest's answer; `Err` says what is wrong with it.
    async fn ask(&self, accessor: &Accessor<State>) -> Result<(), String> {
        let Probe(func) = *self;
        let (call, mut failure) = Call::without_slot(CallContext::default());
        let answer = async {
            let (task, work) = accessor.with(|mut access| {
                let work = func.start_call_concurrent(access.as_context_mut(), ())?;
                let task = work.task();
                access.as_context_mut().data_mut().begin(task, call.clone());
                Ok::<_, wasmtime::Error>((task, work))
            })?;
            let answer = tokio::select! {
                biased;
                // A dependency failed, so that the guest waits for an answer that never comes.
                Ok(Reply::Answer(Err(error))) = &mut failure => Err(error.to_string()),
                answer = func.finish_call_concurrent(accessor, work) => answer?.0,
            };
            accessor.with(|mut access| access.as_context_mut().data_mut().end(task));
            Ok::<_, wasmtime::Error>(answer)
        };
        match answer.await {
            Ok(health) => health,
            Err(error) => Err(format!("its `is-healthy` breaks the canonical ABI: {error:#}")),
        }
    }
}

/// Asks at each interval and tells the pool what the guest said. One question is in flight at a time. Never returns.
///
/// A guest that lets an interval pass without an answer is not well, unless it has calls: it may be computing, and calls
/// have deadlines of their own.
pub(super) async fn watch(accessor: &Accessor<State>, probe: Option<Probe>, monitor: Monitor) -> Infallible {
    let Some(probe) = probe else { return pending().await };
    let mut ticks = tokio::time::interval(monitor.policy.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut bad = 0;
    loop {
        ticks.tick().await;
        let mut answer = std::pin::pin!(probe.ask(accessor));
        let health = loop {
            tokio::select! {
                biased;
                health = &mut answer => break health,
                _ = ticks.tick() => {
                    if !monitor.pool.is_busy(&monitor.replica) {
                        monitor.tell(&mut bad, Err("it does not answer when asked for its health".into()));
                    }
                }
            }
        };
        monitor.tell(&mut bad, health);
    }
}

impl Monitor {
    /// `bad` is how many answers in a row were bad so far.
    fn tell(&self, bad: &mut u32, health: Result<(), String>) {
        match health {
            Ok(()) => {
                if *bad > 0 {
                    tracing::info!(chainlet = %self.name, replica = self.number, "the replica is well again");
                }
                *bad = 0;
                self.pool.set_health(&self.replica, Ok(()));
            }
            Err(why) => {
                let why = format!("a replica says that it is not well: {}", clip(why, SENTENCE));
                if *bad == 0 {
                    tracing::warn!(chainlet = %self.name, replica = self.number, "{why}");
                }
                *bad = bad.saturating_add(1);
                self.pool.set_health(&self.replica, Err(&why));
                if *bad >= self.policy.failures {
                    self.replica.wear_out(Wear::Unwell);
                }
            }
        }
    }
}

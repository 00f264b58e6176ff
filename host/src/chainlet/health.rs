//! A guest's own judgement of its condition: `chainlet:host/health`, asked from time to time.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use wasmtime::component::{Accessor, Instance, TypedFunc};
use wasmtime::{AsContextMut, Store};

use super::pool::Pool;
use super::replica::Replica;
use super::state::State;

/// How often a guest is asked, and how long its answer may take.
const INTERVAL: Duration = Duration::from_secs(1);

/// The function that asks a guest.
#[derive(Clone, Copy)]
pub(super) struct Probe(TypedFunc<(), (Result<(), String>,)>);

/// Where a replica's health is told.
pub(super) struct Monitor {
    pub replica: Arc<Replica>,
    pub pool: Arc<Pool>,
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
        let answer = async {
            let call = accessor.with(|mut access| func.start_call_concurrent(access.as_context_mut(), ()))?;
            func.finish_call_concurrent(accessor, call).await
        };
        match answer.await {
            Ok((health,)) => health,
            Err(error) => Err(format!("its `is-healthy` breaks the canonical ABI: {error:#}")),
        }
    }
}

/// Asks at each interval and tells the pool what the guest said; a guest that lets an interval pass without an answer is
/// not well. One question is in flight at a time. Never returns.
pub(super) async fn watch(accessor: &Accessor<State>, probe: Option<Probe>, monitor: Monitor) -> Infallible {
    let Some(probe) = probe else { return pending().await };
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_well = true;
    loop {
        ticks.tick().await;
        let mut answer = std::pin::pin!(probe.ask(accessor));
        let health = loop {
            tokio::select! {
                biased;
                health = &mut answer => break health,
                _ = ticks.tick() => monitor.tell(&mut was_well, Err("it does not answer when asked for its health".into())),
            }
        };
        monitor.tell(&mut was_well, health);
    }
}

impl Monitor {
    fn tell(&self, was_well: &mut bool, health: Result<(), String>) {
        let health = health.as_ref().copied().map_err(|why| format!("a replica says that it is not well: {why}"));
        match &health {
            Err(why) if *was_well => tracing::warn!("{why}"),
            Ok(()) if !*was_well => tracing::info!("the replica is well again"),
            _ => {}
        }
        *was_well = health.is_ok();
        self.pool.set_health(&self.replica, health.as_ref().copied().map_err(String::as_str));
    }
}

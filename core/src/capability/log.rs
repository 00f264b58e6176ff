//! `chainlet:host/log` and `wasi:logging`: lines in the log that carry a level and the id of the request.

mod wasi;

use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};
use wasmtime_wasi::WasiCtxBuilder;

use super::output::{Level, StandardOutput, TARGET};
use super::{Capability, GrantRequest, StateError};
use crate::chainlet::state::ReplicaState;
use crate::config::ConfigError;

const INTERFACE: &str = "chainlet:host/log@0.1.0";

/// The capability.
pub(super) struct Log;

impl Capability for Log {
    type Grant = ();
    type State = ();

    fn name(&self) -> &'static str {
        "log"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["chainlet:host/log", "wasi:logging/logging"]
    }

    fn add_to_linker(&self, linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
        add_to_linker(linker)?;
        wasi::add_to_linker(linker)
    }

    async fn grant(&self, _: &GrantRequest<'_>) -> Result<(), ConfigError> {
        Ok(())
    }

    fn state(&self, _: &Arc<()>, _: u32, _: &mut WasiCtxBuilder) -> Result<(), StateError> {
        Ok(())
    }
}

/// The enum `level`.
#[derive(Debug, Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "wasmtime makes them")]
enum WitLevel {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

impl From<WitLevel> for Level {
    fn from(level: WitLevel) -> Self {
        match level {
            WitLevel::Trace => Level::Trace,
            WitLevel::Debug => Level::Debug,
            WitLevel::Info => Level::Info,
            WitLevel::Warn => Level::Warn,
            WitLevel::Error => Level::Error,
        }
    }
}

/// Adds the interface. By hand, since the running call is known only to functions that see the whole store.
fn add_to_linker(linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    interface.func_wrap("is-enabled", |_, (level,): (WitLevel,)| Ok((is_enabled(level.into()),)))?;
    interface.func_wrap(
        "write",
        |mut store: StoreContextMut<'_, ReplicaState>,
         (level, message, fields): (WitLevel, String, Vec<(String, String)>)| {
            let level = Level::from(level);
            if is_enabled(level) {
                write(&mut store, level, message, &fields);
            }
            Ok(())
        },
    )
}

/// Writes a line for the request that the guest serves now.
fn write(store: &mut StoreContextMut<'_, ReplicaState>, level: Level, message: String, fields: &[(String, String)]) {
    let request = ReplicaState::request_id(store);
    store.data().of::<StandardOutput>().line(level, request.as_deref(), message, fields);
}

/// Returns true if anybody reads lines of this level.
fn is_enabled(level: Level) -> bool {
    match level {
        Level::Trace => tracing::enabled!(target: TARGET, tracing::Level::TRACE),
        Level::Debug => tracing::enabled!(target: TARGET, tracing::Level::DEBUG),
        Level::Info => tracing::enabled!(target: TARGET, tracing::Level::INFO),
        Level::Warn => tracing::enabled!(target: TARGET, tracing::Level::WARN),
        Level::Error => tracing::enabled!(target: TARGET, tracing::Level::ERROR),
    }
}

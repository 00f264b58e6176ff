//! `wasi:logging`: lines for components that know the standard interface and not ours.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use super::{is_enabled, write};
use crate::capability::output::Level;
use crate::chainlet::state::ReplicaState;

/// The interface (<https://github.com/WebAssembly/wasi-logging>), in the version that other hosts have, too.
const INTERFACE: &str = "wasi:logging/logging@0.1.0-draft";

/// The enum `level`.
#[derive(Debug, Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "wasmtime makes them")]
enum WasiLevel {
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
    #[component(name = "critical")]
    Critical,
}

impl From<WasiLevel> for Level {
    fn from(level: WasiLevel) -> Self {
        match level {
            WasiLevel::Trace => Level::Trace,
            WasiLevel::Debug => Level::Debug,
            WasiLevel::Info => Level::Info,
            WasiLevel::Warn => Level::Warn,
            // The log of the host has no higher level.
            WasiLevel::Error | WasiLevel::Critical => Level::Error,
        }
    }
}

/// Adds the interface. The context of a line becomes its field `context`.
pub(super) fn add_to_linker(linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
    linker.instance(INTERFACE)?.func_wrap(
        "log",
        |mut store: StoreContextMut<'_, ReplicaState>, (level, context, message): (WasiLevel, String, String)| {
            let level = Level::from(level);
            if is_enabled(level) {
                let fields = if context.is_empty() { Vec::new() } else { vec![("context".to_owned(), context)] };
                write(&mut store, level, message, &fields);
            }
            Ok(())
        },
    )
}

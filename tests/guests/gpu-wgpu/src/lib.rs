//! Computes on a GPU with wgpu, and checks the results.

mod absent;
mod copies;
mod devices;
mod errors;
mod gpu;
mod mapping;
mod passes;
mod pipelines;
mod waiting;

use std::fmt::Debug;

use chainlet::{Result, chainlet};

#[derive(Default)]
struct Scenarios;

#[chainlet]
impl Scenarios {
    async fn run_remote(&self, scenario: String) -> Result<String> {
        match scenario.as_str() {
            "adapters" => return devices::adapters().await,
            "features" => devices::features().await?,
            "limits" => devices::limits().await?,
            "destroyed" => devices::destroyed().await?,
            "two-devices" => devices::two_devices().await?,
            "texture-formats" => devices::texture_formats().await?,
            "created-mapped" => mapping::created_mapped().await?,
            "map-read-and-poll" => mapping::read_and_poll().await?,
            "map-read-and-await" => mapping::read_and_await().await?,
            "map-part" => mapping::read_part().await?,
            "map-write" => mapping::write().await?,
            "map-write-parts" => mapping::write_parts().await?,
            "map-many" => mapping::many_at_once().await?,
            "map-on-submit" => mapping::on_submit().await?,
            "not-mapped" => mapping::not_mapped().await?,
            "map-mistakes" => mapping::mistakes().await?,
            "used-while-mapped" => mapping::used_while_mapped().await?,
            "poll" => waiting::poll().await?,
            "poll-without-waiting" => waiting::poll_without_waiting().await?,
            "work-done" => waiting::work_done().await?,
            "wrong-submission" => waiting::wrong_submission().await?,
            "poll-all" => waiting::poll_all().await?,
            "writes" => copies::writes().await?,
            "staged-writes" => copies::staged_writes().await?,
            "copies" => copies::copies().await?,
            "clears" => copies::clears().await?,
            "buffer-init" => copies::buffer_init().await?,
            "staging-belt" => copies::staging_belt().await?,
            "copy-mistakes" => copies::mistakes().await?,
            "compute" => pipelines::compute().await?,
            "constants" => pipelines::constants().await?,
            "explicit-layout" => pipelines::explicit_layout().await?,
            "dynamic-offsets" => pipelines::dynamic_offsets().await?,
            "two-groups" => pipelines::two_groups().await?,
            "immediates" => pipelines::immediates().await?,
            "half-floats" => pipelines::half_floats().await?,
            "passes" => passes::in_order().await?,
            "indirect" => passes::indirect().await?,
            "timestamps" => passes::timestamps().await?,
            "open-pass" => passes::left_open().await?,
            "spoilt-submission" => passes::spoilt().await?,
            "debug-groups" => passes::debug_groups().await?,
            "error-scopes" => errors::scopes().await?,
            "uncaptured-errors" => errors::uncaptured().await?,
            "invalid-shader" => errors::invalid_shader().await?,
            "invalid-objects" => errors::invalid_objects().await?,
            "out-of-memory" => errors::out_of_memory().await?,
            "dispatch-mistakes" => errors::dispatches().await?,
            "absent" => absent::objects().await?,
            "absent-commands" => absent::commands().await?,
            unknown => return Err(format!("there is no scenario `{unknown}`").into()),
        }
        Ok("ok".to_owned())
    }
}

/// Fails if two values differ.
fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Result<()> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, and not {expected:?}").into()) }
}

/// Fails if a condition is false.
fn holds(what: &str, holds: bool) -> Result<()> {
    if holds { Ok(()) } else { Err(format!("it does not hold that {what}").into()) }
}

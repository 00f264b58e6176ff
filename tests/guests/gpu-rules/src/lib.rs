//! Calls every function of `chainlet:host/gpu` with good and bad arguments, and does things that a guest should not do.

mod bombs;
mod buffers;
mod copies;
mod devices;
mod hostile;
mod lab;
mod layouts;
mod passes;
mod quotas;
mod results;
mod shaders;
mod steps;
mod waiting;

use chainlet::Result;
use wit::bindings::chainlet::host::gpu;

#[derive(Default)]
struct Rules;

#[chainlet::chainlet(inline = "
    package tests:gpu-rules;

    world rules {
        import chainlet:host/gpu@0.1.0;

        /// Plays a scenario. Returns `ok`, or an error that names the steps that broke the rules.
        export run-remote: async func(scenario: string) -> result<string, string>;
    }
")]
impl Rules {
    async fn run_remote(&self, scenario: String) -> Result<String> {
        if let Some(name) = scenario.strip_prefix("bomb:") {
            return bombs::explode(name);
        }
        match scenario.as_str() {
            "describe" => Ok(devices::describe()),
            "adapters" => devices::adapters(),
            "requests" => devices::requests(),
            "many-devices" => devices::many(),
            "destroyed-device" => devices::destroyed().await,
            "strangers" => devices::strangers(),
            "two-devices" => devices::two(),
            "make-buffers" => buffers::make(),
            "ranges" => buffers::ranges().await,
            "zeroed" => buffers::zeroed(),
            "destroyed-buffer" => buffers::destroyed().await,
            "destroyed-while-read" => buffers::destroyed_while_read().await,
            "reads-at-once" => buffers::reads_at_once().await,
            "cancelled-reads" => buffers::cancelled().await,
            "order-of-writes" => buffers::order(),
            "large" => buffers::large().await,
            "layouts" => layouts::layouts(),
            "groups" => layouts::groups(),
            "layouts-of-pipelines" => layouts::pipeline_layouts(),
            "modules" => shaders::modules(),
            "pipelines" => shaders::pipelines(),
            "pipelines-with-layouts" => shaders::pipeline_layouts(),
            "constants" => shaders::constants(),
            "dispatches" => passes::dispatches(),
            "order-of-dispatches" => passes::order(),
            "indirect" => passes::indirect(),
            "dynamic-offsets" => passes::dynamic_offsets(),
            "immediates" => passes::immediates(),
            "dropped" => passes::dropped(),
            "copies" => copies::copies(),
            "clears" => copies::clears(),
            "all-or-nothing" => copies::all_or_nothing(),
            "many-commands" => copies::many(),
            "numbers" => waiting::numbers().await,
            "queue" => waiting::queue().await,
            "timestamps" => waiting::timestamps(),
            "saxpy" => results::saxpy().await,
            "reduction" => results::reduction(),
            "atomics" => results::atomics(),
            "matmul" => results::matmul(),
            "workgroup-memory" => results::workgroup_memory(),
            "memory" => quotas::memory().await,
            "churn" => quotas::churn(),
            "hoard" => quotas::hoard(),
            "hang" => hostile::hang(false).await,
            "hang-blocking" => hostile::hang(true).await,
            "hang-destroyed" => hostile::hang_destroyed(),
            "hang-often" => hostile::hang_often(),
            "well" => hostile::well(),
            "out-of-bounds" => hostile::out_of_bounds(),
            "arithmetic" => hostile::arithmetic(),
            "flood" => hostile::flood(),
            "refused-flood" => hostile::refused_flood().await,
            "reads-not-taken" => hostile::reads_not_taken().await,
            "read-beside-endless" => hostile::read_beside_endless(),
            "trap-endless" => hostile::trap_endless(),
            "trap" => hostile::trap(),
            "keep" => hostile::keep(),
            "never-wait" => hostile::never_wait(),
            unknown => Err(format!("there is no scenario `{unknown}`").into()),
        }
    }
}

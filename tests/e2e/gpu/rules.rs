//! The rules of each function of `chainlet:host/gpu`. If its text has no rule, the rule of WebGPU holds. The tests use
//! good arguments and every kind of bad ones, compare results with the processor's, and run in the host and in worker
//! processes.

use super::{CPU, ISOLATIONS, chain, played, until_memory};

const GUEST: &str = "guest_gpu_rules";

/// Plays `scenarios` one after the other in one instance, in each kind of isolation, and checks that nothing of them is
/// left.
async fn play(scenarios: &[&str]) {
    for isolation in ISOLATIONS {
        println!("GPU work runs {isolation}");
        // Some scenarios make ten thousand objects of each kind, which takes an unoptimised host most of a minute.
        let served = chain(GUEST, isolation, CPU, "replicas = 1").serve_with(&["--timeout", "110s"]);
        played(&served, scenarios).await;
        until_memory(&served, 0).await;
        assert!(!served.log().contains("this is a bug in chainhost"), "{}", served.log());
        assert!(!served.log().contains("a GPU reported an error that no call caused"), "{}", served.log());
    }
}

#[tokio::test]
async fn an_adapter_describes_itself_and_its_abilities() {
    play(&["adapters"]).await;
}

#[tokio::test]
async fn a_device_has_the_requested_features_and_limits_or_is_refused() {
    play(&["requests"]).await;
}

#[tokio::test]
async fn an_instance_may_have_several_devices_up_to_a_limit() {
    play(&["many-devices", "two-devices"]).await;
}

#[tokio::test]
async fn objects_of_a_destroyed_device_say_that_it_is_lost() {
    play(&["destroyed-device"]).await;
}

#[tokio::test]
async fn objects_of_one_device_cannot_be_used_with_another() {
    play(&["strangers"]).await;
}

#[tokio::test]
async fn buffers_have_the_usages_and_sizes_of_webgpu() {
    play(&["make-buffers"]).await;
}

#[tokio::test]
async fn any_part_of_a_buffer_can_be_written_and_read_and_nothing_beyond() {
    play(&["ranges"]).await;
}

#[tokio::test]
async fn a_new_buffer_is_zero_in_memory_that_was_used_before() {
    play(&["zeroed"]).await;
}

#[tokio::test]
async fn every_use_of_a_destroyed_buffer_is_an_error() {
    // There are several runs, so that the GPU is at another point of its work in each.
    play(&["destroyed-buffer"; 10]).await;
}

#[tokio::test]
async fn bytes_that_were_read_from_a_buffer_survive_its_destruction() {
    play(&["destroyed-while-read"]).await;
}

#[tokio::test]
async fn reads_may_overlap_and_may_be_given_up() {
    play(&["reads-at-once", "cancelled-reads", "reads-at-once", "order-of-writes"]).await;
}

#[tokio::test]
async fn sixteen_mebibytes_are_the_same_whole_and_in_pieces() {
    play(&["large"]).await;
}

#[tokio::test]
async fn layouts_and_groups_fit_or_are_refused() {
    play(&["layouts", "groups"]).await;
}

#[tokio::test]
async fn layouts_of_pipelines_fit_or_are_refused() {
    play(&["layouts-of-pipelines"]).await;
}

#[tokio::test]
async fn shaders_compile_or_say_where_they_are_wrong() {
    play(&["modules"]).await;
}

#[tokio::test]
async fn pipelines_have_entry_points_within_the_limits() {
    play(&["pipelines"]).await;
}

#[tokio::test]
async fn pipelines_fit_their_layouts_and_take_constants() {
    play(&["pipelines-with-layouts", "constants"]).await;
}

#[tokio::test]
async fn dispatches_run_once_for_each_workgroup_and_in_their_order() {
    play(&["dispatches", "order-of-dispatches"]).await;
}

#[tokio::test]
async fn the_sizes_of_a_dispatch_may_be_in_a_buffer() {
    play(&["indirect"]).await;
}

#[tokio::test]
async fn dynamic_offsets_move_bindings_and_immediates_reach_shaders() {
    play(&["dynamic-offsets", "immediates"]).await;
}

#[tokio::test]
async fn a_dropped_object_lives_as_long_as_work_needs_it() {
    play(&["dropped"]).await;
}

#[tokio::test]
async fn copies_and_clears_change_only_their_own_ranges() {
    play(&["copies", "clears"]).await;
}

#[tokio::test]
async fn a_list_of_commands_with_a_mistake_has_no_effect() {
    play(&["all-or-nothing"]).await;
}

#[tokio::test]
async fn a_list_of_commands_may_be_long() {
    play(&["many-commands"]).await;
}

#[tokio::test]
async fn submissions_have_numbers_that_grow_and_can_be_waited_for() {
    play(&["numbers"]).await;
}

#[tokio::test]
async fn submissions_beyond_the_limit_wait_for_their_turn() {
    play(&["queue", "never-wait"]).await;
}

#[tokio::test]
async fn passes_report_their_times() {
    play(&["timestamps"]).await;
}

#[tokio::test]
async fn shaders_compute_the_same_as_the_processor() {
    play(&["saxpy", "reduction", "atomics", "matmul", "workgroup-memory", "arithmetic"]).await;
}

#[tokio::test]
async fn the_quota_is_exact_to_the_byte_and_is_given_back() {
    play(&["memory", "memory"]).await;
}

#[tokio::test]
async fn thousands_of_objects_of_each_kind_can_be_made_and_dropped() {
    play(&["churn"]).await;
}

#[tokio::test]
async fn objects_can_be_kept_up_to_their_limit() {
    play(&["hoard"]).await;
}

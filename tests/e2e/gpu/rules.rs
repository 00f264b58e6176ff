//! Each function of `chainlet:host/gpu` against its rules, which are WebGPU's where its text has none: good arguments, every
//! kind of bad ones, results against the processor's. In the host, and in worker processes.

use super::{CPU, ISOLATIONS, chain, played, until_memory};

const GUEST: &str = "guest_gpu_rules";

/// Plays `scenarios` in each kind of isolation, one after the other in one instance, of which nothing is left then.
async fn play(scenarios: &[&str]) {
    for isolation in ISOLATIONS {
        println!("GPU work runs {isolation}");
        let served = chain(GUEST, isolation, CPU, "replicas = 1").serve();
        played(&served, scenarios).await;
        until_memory(&served, 0).await;
        assert!(!served.log().contains("this is a bug in chainhost"), "{}", served.log());
        assert!(!served.log().contains("a GPU reported an error that no call caused"), "{}", served.log());
    }
}

#[tokio::test]
async fn an_adapter_says_what_it_is_and_what_it_can() {
    play(&["adapters"]).await;
}

#[tokio::test]
async fn a_device_has_the_features_and_limits_that_it_was_requested_with_or_is_refused() {
    play(&["requests"]).await;
}

#[tokio::test]
async fn an_instance_has_several_devices_and_not_too_many() {
    play(&["many-devices", "two-devices"]).await;
}

#[tokio::test]
async fn whatever_a_destroyed_device_made_says_that_it_is_lost() {
    play(&["destroyed-device"]).await;
}

#[tokio::test]
async fn nothing_of_one_device_can_be_used_with_another() {
    play(&["strangers"]).await;
}

#[tokio::test]
async fn buffers_have_the_usages_and_sizes_of_webgpu() {
    play(&["make-buffers"]).await;
}

#[tokio::test]
async fn every_buffer_is_written_and_read_in_any_part_and_not_beyond() {
    play(&["ranges"]).await;
}

#[tokio::test]
async fn a_new_buffer_is_zero_whatever_was_there_before() {
    play(&["zeroed"]).await;
}

#[tokio::test]
async fn a_destroyed_buffer_is_an_error_wherever_it_is_used() {
    // As often as it takes for the GPU to be at another point of its work each time.
    play(&["destroyed-buffer"; 10]).await;
}

#[tokio::test]
async fn a_buffer_that_is_destroyed_keeps_what_was_read_of_it() {
    play(&["destroyed-while-read"]).await;
}

#[tokio::test]
async fn reads_may_be_under_way_together_and_be_given_up() {
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
async fn bindings_move_and_immediates_are_handed_over() {
    play(&["dynamic-offsets", "immediates"]).await;
}

#[tokio::test]
async fn what_is_dropped_is_there_for_as_long_as_it_is_needed() {
    play(&["dropped"]).await;
}

#[tokio::test]
async fn copies_and_clears_reach_what_they_should_and_nothing_else() {
    play(&["copies", "clears"]).await;
}

#[tokio::test]
async fn a_list_with_a_mistake_in_it_does_nothing_at_all() {
    play(&["all-or-nothing"]).await;
}

#[tokio::test]
async fn a_list_may_be_long() {
    play(&["many-commands"]).await;
}

#[tokio::test]
async fn submissions_have_numbers_that_grow_and_can_be_waited_for() {
    play(&["numbers"]).await;
}

#[tokio::test]
async fn more_submissions_than_may_be_under_way_wait_for_their_turn() {
    play(&["queue", "never-wait"]).await;
}

#[tokio::test]
async fn passes_tell_their_times() {
    play(&["timestamps"]).await;
}

#[tokio::test]
async fn shaders_compute_what_the_processor_does() {
    play(&["saxpy", "reduction", "atomics", "matmul", "workgroup-memory", "arithmetic"]).await;
}

#[tokio::test]
async fn the_quota_is_held_to_the_byte_and_comes_back() {
    play(&["memory", "memory"]).await;
}

#[tokio::test]
async fn thousands_of_objects_of_each_kind_come_and_go() {
    play(&["churn"]).await;
}

#[tokio::test]
async fn objects_that_are_kept_are_as_many_as_there_may_be() {
    play(&["hoard"]).await;
}

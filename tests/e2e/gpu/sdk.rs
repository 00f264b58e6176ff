//! The SDK's `gpu`, and the example that uses it.

use futures::future::join_all;
use serde_json::{Value as Json, json};

use super::{play, said, serve};
use crate::harness::{Chain, Served};

const GUEST: &str = "guest_gpu";

#[tokio::test]
async fn kernels_compute_the_same_as_the_processor() {
    play(GUEST, &["find", "saxpy", "matmul", "constants", "entry-points", "without-bindings"]).await;
}

#[tokio::test]
async fn work_is_done_in_the_order_of_its_requests() {
    play(GUEST, &["batch", "many-dispatches", "at-once", "waiting", "copies"]).await;
}

#[tokio::test]
async fn buffers_return_what_was_written_to_them() {
    play(GUEST, &["ranges", "small-elements", "structs", "empty", "blocking", "clones", "large"]).await;
}

#[tokio::test]
async fn dropped_objects_free_their_memory() {
    play(GUEST, &["freed", "quota", "freed"]).await;
}

#[tokio::test]
async fn mistakes_are_errors_and_later_work_succeeds() {
    play(GUEST, &["shader-mistakes", "binding-mistakes", "range-mistakes", "foreign", "saxpy"]).await;
}

#[tokio::test]
async fn the_calls_of_an_instance_share_its_gpu() {
    let served = serve(GUEST);
    let scenarios = ["saxpy", "matmul", "batch", "at-once", "ranges", "copies", "many-dispatches", "waiting"];
    let answers = join_all(scenarios.iter().cycle().take(24).map(|scenario| said(&served, scenario))).await;
    assert_eq!(answers, vec![json!("ok"); 24]);
}

#[tokio::test]
async fn the_limits_that_a_guest_sees_include_the_quota() {
    let info = said(&serve(GUEST), "info").await;
    assert!(info.as_str().unwrap().ends_with("Cpu, buffers of 67108864"), "{info}");
}

/// Serves the chain of `examples/gpu-matmul` on a GPU in software.
fn matmul() -> Served {
    Chain::new(
        r#"
[chain]
name = "gpu-matmul"

[chainlets.matmul]
component = "<matmul>"
resources.gpu = { adapter = "cpu" }
"#,
    )
    .serve()
}

/// Returns a matrix of small whole numbers, so that products are exact.
fn matrix(rows: usize, columns: usize, seed: usize) -> Json {
    let values: Vec<f32> = (0..rows * columns).map(|place| ((place * 7 + seed) % 11) as f32 - 5.0).collect();
    json!({ "rows": rows, "columns": columns, "values": values })
}

fn product(a: &Json, b: &Json) -> Json {
    let number = |matrix: &Json, name: &str| matrix[name].as_u64().unwrap() as usize;
    let value = |matrix: &Json, place: usize| matrix["values"][place].as_f64().unwrap();
    let (rows, inner, columns) = (number(a, "rows"), number(a, "columns"), number(b, "columns"));
    let mut values = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            let terms = (0..inner).map(|k| value(a, row * inner + k) * value(b, k * columns + column));
            values.push(terms.sum::<f64>());
        }
    }
    json!({ "rows": rows, "columns": columns, "values": values })
}

#[tokio::test]
async fn the_example_multiplies_matrices_of_any_shape() {
    let served = matmul();
    let calls = [(1, 1, 1), (2, 3, 4), (16, 16, 16), (17, 33, 15), (40, 1, 70), (3, 0, 2), (0, 5, 1)];
    let answers = calls.map(async |(rows, inner, columns)| {
        let (a, b) = (matrix(rows, inner, 1), matrix(inner, columns, 2));
        let answer = served.public.call(&json!({ "a": a, "b": b })).await.json();
        (answer, product(&a, &b))
    });
    for (answer, expected) in join_all(answers).await {
        assert_eq!(answer, expected);
    }
}

#[tokio::test]
async fn the_example_says_which_matrices_have_no_product() {
    let served = matmul();
    for (a, b, expected) in [
        (matrix(2, 3, 0), matrix(2, 3, 0), json!("no_common_side")),
        (json!({ "rows": 2, "columns": 2, "values": [1] }), matrix(2, 2, 0), json!({ "wrong_number_of_values": "a" })),
    ] {
        let reply = served.public.call(&json!({ "a": a, "b": b })).await;
        let problem = reply.problem(422, "chainlet-error");
        assert_eq!(problem["error"], expected);
    }
}

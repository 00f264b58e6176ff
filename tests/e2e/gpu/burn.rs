//! burn on a chainlet's GPU. The tests compute its network here as well, and compare the results.

use std::f64::consts::{FRAC_2_SQRT_PI, SQRT_2, TAU};

use futures::future::join_all;
use serde_json::{Value as Json, json};

use crate::harness::{Chain, Served, repository};

/// Serves the chain of `examples/burn` on a GPU in software.
fn burn() -> Served {
    Chain::new(
        r#"
[chain]
name = "burn"

[chainlets.classify]
component = "<burn_classify>"
resources = { memory = "256MiB", gpu = { adapter = "cpu", timeout = "5m" } }
"#,
    )
    // A busy machine takes long to compile the shaders of a network for a GPU in software.
    .serve_with(&["--timeout", "10m"])
}

type Point = [f64; 2];
type Arms = [f64; 3];

/// The network of the example, computed in twice the precision.
struct Network(Vec<Json>);

impl Network {
    fn of_the_example() -> Self {
        let path = repository().join("examples/burn/classify/src/network.json");
        Network(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    fn forward(&self, point: Point) -> Arms {
        let mut values = point.to_vec();
        for (number, layer) in self.0.iter().enumerate() {
            if number > 0 {
                values = values.into_iter().map(gelu).collect();
            }
            values = linear(layer, &values);
        }
        let powers: Vec<f64> = values.into_iter().map(f64::exp).collect();
        let sum: f64 = powers.iter().sum();
        [powers[0] / sum, powers[1] / sum, powers[2] / sum]
    }
}

fn linear(layer: &Json, values: &[f64]) -> Vec<f64> {
    let numbers = |name: &str| -> Vec<f64> { serde_json::from_value(layer[name].clone()).unwrap() };
    let (weights, mut outputs) = (numbers("weights"), numbers("biases"));
    for (value, row) in values.iter().zip(weights.chunks(outputs.len())) {
        outputs.iter_mut().zip(row).for_each(|(output, weight)| *output += value * weight);
    }
    outputs
}

fn gelu(x: f64) -> f64 {
    x / 2.0 * (1.0 + erf(x / SQRT_2))
}

/// Returns the error function of `x`, by a series whose terms all have the same sign.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// Returns a point of the spiral, on the arm `arm` and at the distance `out` from its centre.
fn on_arm(arm: usize, out: f64) -> Point {
    let angle = arm as f64 * TAU / 3.0 + out * 4.0;
    [out * angle.cos(), out * angle.sin()]
}

/// Returns the answer of the chainlet for `points`.
async fn classified(served: &Served, points: &[Point]) -> Vec<Arms> {
    let points: Vec<Json> = points.iter().map(|[x, y]| json!({ "x": x, "y": y })).collect();
    let answer = served.public.call(&json!({ "points": points })).await.json();
    let arms = |row: &Json| ["first", "second", "third"].map(|arm| row[arm].as_f64().unwrap());
    answer.as_array().unwrap().iter().map(arms).collect()
}

fn assert_near(answer: &[Arms], expected: &[Arms]) {
    assert_eq!(answer.len(), expected.len());
    for (answer, expected) in answer.iter().zip(expected) {
        let near = answer.iter().zip(expected).all(|(answer, expected)| (answer - expected).abs() < 1e-4);
        assert!(near, "found {answer:?}, expected {expected:?}");
    }
}

#[tokio::test]
async fn a_network_computes_the_same_as_the_processor() {
    let (served, network) = (burn(), Network::of_the_example());

    let spiral: Vec<(usize, Point)> =
        (0..300).map(|n| (n % 3, on_arm(n % 3, 0.15 + f64::from(n as u32) / 400.0))).collect();
    let points: Vec<Point> = spiral.iter().map(|(_, point)| *point).collect();
    let answer = classified(&served, &points).await;
    assert_near(&answer, &points.iter().map(|point| network.forward(*point)).collect::<Vec<_>>());
    for ((arm, point), answer) in spiral.iter().zip(&answer) {
        assert!(answer[*arm] > 0.5, "{point:?} is on arm {arm}, and the answer is {answer:?}");
    }

    // burn computes batches of other sizes with other kernels. All of them run at once.
    let batches = [0, 1, 2, 17, 64, 65].map(async |len| {
        let points: Vec<Point> = (0..len).map(|n| [f64::from(n) / 20.0 - 1.0, 0.3]).collect();
        (classified(&served, &points).await, points)
    });
    for (answer, points) in join_all(batches).await {
        assert_near(&answer, &points.iter().map(|point| network.forward(*point)).collect::<Vec<_>>());
    }
}

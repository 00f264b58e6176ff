//! Compares reading and writing numbers in JSON by their WIT type with serde_json and a Rust type.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use chainhost::value::ty::{Member, Name};
use chainhost::value::{List, Type, Value, json};
use serde::{Deserialize, Serialize};

use crate::median;

const NUMBERS: u32 = 4_096;
/// The texts in one sample, and the number of samples.
const TEXTS: u32 = 100;
const SAMPLES: usize = 31;
/// The highest time, as a multiple of serde_json's time.
const TARGET: f64 = 2.0;

/// A request body, as one would declare it for serde.
#[derive(Serialize, Deserialize)]
struct Body {
    values: Vec<f32>,
}

#[derive(Default)]
struct Samples {
    chainhost: Vec<f64>,
    serde: Vec<f64>,
}

pub fn run() -> anyhow::Result<()> {
    let numbers: Vec<f32> = numbers().collect();
    let ty = Type::List(Arc::new(Type::F32));
    let params = [Member { name: Name::new("values"), ty: Some(ty.clone()), docs: None }];
    let value = Value::List(List::F32(numbers.clone()));
    let text = serde_json::to_vec(&numbers)?;
    let body = serde_json::to_vec(&Body { values: numbers.clone() })?;
    ensure!(json::params_from_slice(&params, &body)?.first() == Some(&value), "the numbers are read as others");

    let (mut of_body, mut of_value, mut out) = (Samples::default(), Samples::default(), Samples::default());
    let mut written = Vec::new();
    for _ in 0..SAMPLES {
        of_body.chainhost.push(sample(|| Ok(json::params_from_slice(&params, black_box(&body))?))?);
        of_body.serde.push(sample(|| Ok(serde_json::from_slice::<Body>(black_box(&body))?))?);
        of_value.chainhost.push(sample(|| Ok(json::value_from_slice(&ty, black_box(&text))?))?);
        of_value.serde.push(sample(|| Ok(serde_json::from_slice::<Vec<f32>>(black_box(&text))?))?);
        out.chainhost.push(sample(|| {
            written.clear();
            json::write(&ty, black_box(&value), &mut written).context("the numbers are not written")
        })?);
        ensure!(written == text, "the numbers are written as others");
        out.serde.push(sample(|| {
            written.clear();
            Ok(serde_json::to_writer(&mut written, black_box(&numbers))?)
        })?);
    }
    println!("### {NUMBERS} `f32` as JSON\n");
    println!("| what | µs: **chainhost** | serde_json | chainhost / serde_json | target |\n|---|---|---|---|---|");
    for (what, samples) in
        [("a body with them is read", of_body), ("they are read", of_value), ("they are written", out)]
    {
        let (chainhost, serde) = (median(samples.chainhost), median(samples.serde));
        println!("| {what} | **{chainhost:.1}** | {serde:.1} | **{:.2}** | ≤ {TARGET} |", chainhost / serde);
    }
    println!();
    Ok(())
}

/// Returns numbers from 0 to 1 with all their digits, such as in embeddings.
fn numbers() -> impl Iterator<Item = f32> {
    let mut state = 1_u32;
    (0..NUMBERS).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    })
}

/// Returns the microseconds that `work` takes.
fn sample<T>(mut work: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<f64> {
    let start = Instant::now();
    for _ in 0..TEXTS {
        black_box(work()?);
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(TEXTS))
}

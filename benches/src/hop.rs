//! One hop: compares a caller and a callee in separate stores with the same two components fused into one.

use std::time::Instant;

use anyhow::anyhow;
use chainhost::chain::{CallOptions, Chain};
use chainhost::config::{ChainSpec, ChainletSpec};
use chainhost::host::Host;
use wasmtime::component::Component;
use wasmtime::{AsContextMut, Store};

use crate::fuse::fuse;
use crate::{bare, guest, median};

/// The calls in one sample, and the number of samples. The result is the median of the samples.
const CALLS: u32 = 5_000;
const SAMPLES: usize = 15;
const BODY: &str = r#"{"text":"a short string"}"#;

pub fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (caller, callee) = (std::fs::read(guest("bench_caller")?)?, std::fs::read(guest("bench_callee")?)?);
        let fused = fuse(&caller, &callee, &["callee"])?;
        let host = Host::new()?;
        let separate = host
            .load(
                &ChainSpec::builder("separate")
                    .chainlet("caller", ChainletSpec::builder(caller))
                    .chainlet("callee", ChainletSpec::builder(callee.clone()))
                    .build()?,
            )
            .await?;
        let together =
            host.load(&ChainSpec::builder("fused").chainlet("fused", ChainletSpec::builder(fused.clone())).build()?).await?;
        let alone =
            host.load(&ChainSpec::builder("alone").chainlet("alone", ChainletSpec::builder(callee)).build()?).await?;

        // The sides take turns, so that a change in the machine's speed affects all of them.
        let (mut bare, mut one, mut two, mut none) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut wasmtime = Bare::new(&fused).await.map_err(|error| anyhow!("{error:#}"))?;
        for _ in 0..SAMPLES {
            bare.push(wasmtime.sample().await.map_err(|error| anyhow!("{error:#}"))?);
            one.push(sample(&together).await?);
            two.push(sample(&separate).await?);
            none.push(sample(&alone).await?);
        }
        let (bare, one, two, none) = (median(bare), median(one), median(two), median(none));
        println!("### One hop, a short string, one call after the other\n");
        println!("| what | µs a call |\n|---|---|");
        println!("| both components fused (wac-graph), wasmtime alone, typed | {bare:.2} |");
        println!("| both components fused, as one chainlet | {one:.2} |");
        println!("| **two chainlets, two stores** | **{two:.2}** |");
        println!("| the callee alone, as one chainlet | {none:.2} |");
        println!("\nTwo stores / fused, both called through chainhost: **{:.2}**. The hop itself (two chainlets less one): {:.2} µs, \
            beside the fused call in wasmtime alone: {:.2}.\n", two / one, two - none, (two - none) / bare);
        Ok(())
    })
}

/// Calls from a task of the runtime, as a server's connections do.
async fn sample(chain: &Chain) -> anyhow::Result<f64> {
    let chain = chain.clone();
    let calls = tokio::spawn(async move {
        let start = Instant::now();
        for _ in 0..CALLS {
            chain.call_json(BODY.as_bytes(), CallOptions::default()).await?;
        }
        Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS))
    });
    calls.await?
}

/// The fused component in wasmtime alone: without chainhost, without JSON, with a function whose type is known at
/// compile time.
struct Bare {
    store: Store<bare::State>,
    run_remote: wasmtime::component::TypedFunc<(String,), (String,)>,
}

impl Bare {
    async fn new(component: &[u8]) -> wasmtime::Result<Self> {
        let engine = bare::engine()?;
        let component = Component::from_binary(&engine, component)?;
        let linker = bare::linker(&engine)?;
        let mut store = bare::store(&engine);
        let instance = linker.instantiate_async(&mut store, &component).await?;
        let run_remote = instance.get_typed_func(&mut store, "run-remote")?;
        Ok(Bare { store, run_remote })
    }

    async fn sample(&mut self) -> wasmtime::Result<f64> {
        let run_remote = self.run_remote;
        let start = Instant::now();
        self.store
            .run_concurrent(async |accessor| {
                for _ in 0..CALLS {
                    let call = accessor.with(|mut access| {
                        run_remote.start_call_concurrent(access.as_context_mut(), ("a short string".to_string(),))
                    })?;
                    run_remote.finish_call_concurrent(accessor, call).await?;
                }
                Ok::<_, wasmtime::Error>(())
            })
            .await??;
        Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS))
    }
}

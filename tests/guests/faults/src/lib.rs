//! The common part of the guests `faulty` and `faulty-sync`: the words that need no `async`. The WIT of `faulty`
//! describes each.

use std::fs::File;
use std::str::FromStr;
use std::time::{Duration, Instant};

use chainlet::{Context, context};

const MIB: usize = 1024 * 1024;

/// The outcome of a word.
pub enum Outcome {
    /// An answer.
    Said(String),
    /// Done, without an answer.
    Did,
    /// The word is not one of these.
    Unknown,
}

/// Does `word`. `argument` is the text after its colon.
///
/// # Errors
/// Fails if the word asks for an error, or if its action fails.
pub fn act(word: &str, argument: &str) -> chainlet::Result<Outcome> {
    match word {
        "echo" => return Ok(Outcome::Said(argument.to_owned())),
        "err" => return Err(argument.into()),
        "trap" => trap(),
        #[expect(clippy::panic, reason = "this is what is tested")]
        "panic" => panic!("{argument}"),
        "exit" => std::process::exit(number(argument)?),
        "overflow" => return Ok(Outcome::Said(overflow(0).to_string())),
        "spin" if argument.is_empty() => spin(None),
        "spin" => spin(Some(Duration::from_millis(number(argument)?))),
        "trap-once" => {
            if !std::fs::exists(argument)? {
                std::fs::write(argument, "trapped\n").context(argument)?;
                trap();
            }
        }
        "block" => std::thread::sleep(Duration::from_millis(number(argument)?)),
        "allocate" if argument.is_empty() => return Ok(Outcome::Said(allocate(usize::MAX).len().to_string())),
        "allocate" => return Ok(Outcome::Said(allocate(number(argument)?).len().to_string())),
        "hoard" => hoard(),
        "long" => return Ok(Outcome::Said("x".repeat(number::<usize>(argument)? * MIB))),
        "leak" if argument.is_empty() => leak(usize::MAX),
        "leak" => leak(number(argument)?),
        "open" => loop {
            std::mem::forget(File::open(argument).context(argument)?);
        },
        "print" => (1..=number(argument)?).for_each(|line: u32| println!("line {line}")),
        "complain" => (1..=number(argument)?).for_each(|line: u32| eprintln!("line {line}")),
        "flood" => loop {
            println!("{}", "a flood ".repeat(1000));
        },
        "who" => {
            let context::Deployment { chain, chainlet, replica, environment, .. } = context::deployment();
            return Ok(Outcome::Said(format!("{chain}/{chainlet}/{replica}/{environment}")));
        }
        "data" => return Ok(Outcome::Said(format!("{:?}", context::data_folder()))),
        "setting" => return Ok(Outcome::Said(context::setting::<serde_json::Value>(argument)?.to_string())),
        "settings" => return Ok(Outcome::Said(context::setting_names().join(","))),
        "secret" => return Ok(Outcome::Said(context::secret(argument)?.expose().to_owned())),
        "secrets" => return Ok(Outcome::Said(context::secret_names().join(","))),
        "read" => return std::fs::read_to_string(argument).context(argument).map(Outcome::Said),
        "write" => std::fs::write(argument, "written by faulty\n").context(argument)?,
        "rename" | "link" | "symlink" => {
            let (old, new) = argument.split_once(':').ok_or("two paths need a colon between them")?;
            match word {
                "rename" => std::fs::rename(old, new),
                "link" => std::fs::hard_link(old, new),
                #[expect(deprecated, reason = "what stands in its stead is not stable for WASI")]
                _ => std::fs::soft_link(old, new),
            }
            .context(argument)?;
        }
        "env" => {
            let names: Vec<_> = std::env::vars().map(|(name, _)| name).collect();
            return Ok(Outcome::Said(names.join(",")));
        }
        _ => return Ok(Outcome::Unknown),
    }
    Ok(Outcome::Did)
}

/// Parses a number.
///
/// # Errors
/// Fails if the text is no number.
pub fn number<T: FromStr<Err: std::fmt::Display>>(text: &str) -> chainlet::Result<T> {
    text.parse().context(format!("`{text}` is no number"))
}

/// Takes memory in blocks of one MiB, up to `wanted` or until it gets no more.
pub fn allocate(wanted: usize) -> Vec<Vec<u8>> {
    let mut blocks = Vec::new();
    while blocks.len() < wanted {
        let mut block = Vec::new();
        if block.try_reserve_exact(MIB).is_err() {
            break;
        }
        block.resize(MIB, 1);
        blocks.push(block);
    }
    blocks
}

fn trap() -> ! {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort()
}

/// Calls itself until the stack overflows.
#[expect(unconditional_recursion, reason = "this is what is tested")]
fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 16]);
    std::hint::black_box(overflow(depth + 1)) + frame.iter().sum::<u64>()
}

/// Keeps the processor busy, for the given time or forever.
fn spin(time: Option<Duration>) {
    let start = Instant::now();
    while time.is_none_or(|time| start.elapsed() < time) {
        // The clock is checked every ten million rounds, because reading it is a call to the host.
        for round in 0..10_000_000_u32 {
            std::hint::black_box(round);
        }
    }
}

fn hoard() {
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    loop {
        blocks.push(std::hint::black_box(vec![1; MIB]));
    }
}

/// Creates handles of timers and never frees them.
fn leak(count: usize) {
    for _ in 0..count {
        std::mem::forget(wasip2::clocks::monotonic_clock::subscribe_duration(u64::MAX));
    }
}

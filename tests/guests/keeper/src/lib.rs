//! Does every operation of `wasi:keyvalue`, as it is told; see its WIT.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::str::FromStr;
use std::time::Duration;

use chainlet::keyvalue::Store;
use chainlet::{Context, context, time};

use self::wit::bindings::wasi::keyvalue::atomics::{self, Cas, CasError};
use self::wit::bindings::wasi::keyvalue::store::{self as plain, Bucket};
use self::wit::bindings::wasi::logging::logging;

/// The most keys of a batch.
const BATCH: usize = 1000;

#[derive(Default)]
struct Keeper;

#[chainlet::chainlet]
impl Keeper {
    async fn run_remote(&self, what: String) -> chainlet::Result<String> {
        let (word, argument) = what.split_once(':').unwrap_or((&what, ""));
        if word == "log" {
            logging::log(logging::Level::Warn, "keeper", argument);
            return Ok("logged".to_owned());
        }
        let (word, store) = word.split_once('@').unwrap_or((word, "sessions"));
        if let Some(answer) = by_wit(store, word, argument)? {
            return Ok(answer);
        }
        if word == "tally" {
            return tally(&Store::open(store)?, argument).await;
        }
        by_sdk(&Store::open(store)?, word, argument)
    }
}

fn by_sdk(store: &Store, word: &str, argument: &str) -> chainlet::Result<String> {
    let pair = || argument.split_once('=').ok_or(format!("`{word}` needs a key and a value"));
    let list = || argument.split(',').map(str::to_owned);
    Ok(match word {
        "get" => text(store.get(argument)?),
        "set" => {
            let (key, value) = pair()?;
            done(store.set(key, value)?)
        }
        "delete" => done(store.delete(argument)?),
        "exists" => store.exists(argument)?.to_string(),
        "increment" => {
            let (key, delta) = pair()?;
            store.increment(key, number(delta)?)?.to_string()
        }
        "append" => {
            let (key, more) = pair()?;
            let append = |value: Option<Vec<u8>>| [value.unwrap_or_default(), more.into()].concat();
            String::from_utf8(store.update(key, append)?)?
        }
        "get-many" => {
            let values = store.get_many(list())?.into_iter().map(text);
            format!("[{}]", values.collect::<Vec<_>>().join(", "))
        }
        "set-many" => {
            let entries = argument.split(',').map(|entry| entry.split_once('=').ok_or("an entry needs a value"));
            done(store.set_many(entries.collect::<Result<Vec<_>, _>>()?)?)
        }
        "delete-many" => done(store.delete_many(list())?),
        "batch" => done(store.set_many((0..number(argument)?).map(entry))?),
        "fill" => {
            let entries: Vec<_> = (0..number(argument)?).map(entry).collect();
            done(entries.chunks(BATCH).try_for_each(|chunk| store.set_many(chunk.iter().cloned()))?)
        }
        "long" => {
            let (key, bytes) = pair()?;
            done(store.set(key, vec![b'x'; number(bytes)?])?)
        }
        "long-key" => done(store.set(&"k".repeat(number(argument)?), "")?),
        "keys" => {
            let mut keys = store.keys().collect::<Result<Vec<_>, _>>()?;
            keys.sort();
            keys.join(",")
        }
        "count" => store.keys().collect::<Result<BTreeSet<_>, _>>()?.len().to_string(),
        _ => return Err(format!("keeper cannot `{word}`").into()),
    })
}

/// Does the words that the SDK cannot do, and returns `None` for the others.
fn by_wit(store: &str, word: &str, argument: &str) -> chainlet::Result<Option<String>> {
    let open = || plain::open(store).map_err(shown);
    Ok(Some(match word {
        "open" => plain::open(store).map_or_else(shown, |_| "ok".to_owned()),
        "pages" => pages(&open()?)?,
        "conflict" => {
            let (key, text) = argument.split_once('=').ok_or("`conflict` needs a key and a value")?;
            conflict(&open()?, key, text)?
        }
        "leak" => loop {
            std::mem::forget(open()?);
        },
        "trap" => trap(),
        _ => return Ok(None),
    }))
}

async fn tally(store: &Store, key: &str) -> chainlet::Result<String> {
    let sum = store.increment(key, 1)?;
    time::sleep(Duration::from_millis(5)).await;
    store.increment(&format!("{key}-{}", context::replica()), 1)?;
    Ok(sum.to_string())
}

fn pages(bucket: &Bucket) -> chainlet::Result<String> {
    let mut sizes = Vec::new();
    let mut cursor = None;
    loop {
        let page = bucket.list_keys(cursor.as_deref()).map_err(shown)?;
        sizes.push(page.keys.len().to_string());
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok(sizes.join(","));
        }
    }
}

fn conflict(bucket: &Bucket, key: &str, text: &str) -> chainlet::Result<String> {
    let cas = Cas::new(bucket, key).map_err(shown)?;
    bucket.set(key, b"meanwhile").map_err(shown)?;
    match atomics::swap(cas, text.as_bytes()) {
        Ok(()) => Err("the swap has overwritten another value".into()),
        Err(CasError::StoreError(error)) => Err(shown(error).into()),
        Err(CasError::CasFailed(fresh)) => {
            let value = fresh.current().map_err(shown)?;
            atomics::swap(fresh, text.as_bytes()).map_err(|error| format!("the second swap failed: {error:?}"))?;
            Ok(self::text(value))
        }
    }
}

fn entry(number: usize) -> (String, Vec<u8>) {
    (format!("key-{number:05}"), Vec::new())
}

fn text(value: Option<Vec<u8>>) -> String {
    format!("{:?}", value.map(|value| String::from_utf8_lossy(&value).into_owned()))
}

fn done(_: ()) -> String {
    "done".to_owned()
}

fn number<T: FromStr<Err: std::fmt::Display>>(text: &str) -> chainlet::Result<T> {
    text.parse().context(format!("`{text}` is no number"))
}

fn shown(error: impl Debug) -> String {
    format!("{error:?}")
}

fn trap() -> ! {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort()
}

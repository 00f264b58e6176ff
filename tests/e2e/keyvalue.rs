//! `wasi:keyvalue`: stores that all replicas of a chainlet share, in memory, in a file and in Redis.

mod config;
mod file;
mod redis;

use std::collections::BTreeSet;

use rustix::process::Signal;

use crate::harness::{Chain, Redis, Served};

/// A store in the memory of the host.
const MEMORY: &str = r#"type = "memory""#;

/// A store in a file beside chain.toml.
const FILE: &str = "type = \"file\"\npath = \"data/sessions.redb\"";

/// Returns the text of a chain of one `keeper`. Its store `sessions` has the keys `store`, and the chainlet has the
/// additional `keys`.
fn text(store: &str, keys: &str) -> String {
    format!(
        r#"
[chain]
name = "test"

[stores.sessions]
{store}

[chainlets.keeper]
component = "<guest_keeper>"
stores = ["sessions"]
{keys}
"#
    )
}

fn chain(store: &str, keys: &str) -> Chain {
    Chain::new(&text(store, keys))
}

/// Calls the guest with a word that fails, and returns its error.
async fn refused(served: &Served, what: &str) -> String {
    let problem = served.public.tell(what).await.problem(422, "chainlet-error");
    problem["error"].as_str().unwrap().to_owned()
}

/// Calls `test` with the keys of a store of each type. Skips Redis on a machine that has no Redis server.
async fn with_each_type(test: impl AsyncFn(&str)) {
    test(MEMORY).await;
    test(FILE).await;
    if let Some(server) = Redis::start() {
        test(&redis::store(&server)).await;
    }
}

#[tokio::test]
async fn each_operation_does_the_same_in_each_type_of_store() {
    with_each_type(async |store| {
        let served = chain(store, "").serve();
        let ask = async |what: &str, answer: &str| assert_eq!(served.ask(what).await, answer, "{what} with {store}");
        ask("get:a", "None").await;
        ask("set:a=first", "done").await;
        ask("set:a=second", "done").await;
        ask("get:a", r#"Some("second")"#).await;
        ask("exists:a", "true").await;
        ask("delete:a", "done").await;
        ask("delete:a", "done").await;
        ask("exists:a", "false").await;
        ask("set:empty=", "done").await;
        ask("get:empty", r#"Some("")"#).await;
        ask("increment:count=5", "5").await;
        ask("increment:count=-7", "-2").await;
        ask("get:count", r#"Some("-2")"#).await;
        ask("append:list=a", "a").await;
        ask("append:list=b", "ab").await;
        ask("keys", "count,empty,list").await;
        ask("long-key:1024", "done").await;
    })
    .await;
}

#[tokio::test]
async fn a_batch_keeps_its_order_and_has_at_most_1000_keys() {
    with_each_type(async |store| {
        let served = chain(store, "").serve();
        assert_eq!(served.ask("set-many:a=1,b=2,c=3").await, "done");
        assert_eq!(served.ask("get-many:c,none,a,c").await, r#"[Some("3"), None, Some("1"), Some("3")]"#);
        assert_eq!(served.ask("delete-many:a,none,c").await, "done");
        assert_eq!(served.ask("keys").await, "b");
        assert_eq!(served.ask("batch:1000").await, "done");
        let error = refused(&served, "batch:1001").await;
        assert_eq!(error, "a batch for the store \"sessions\" has 1001 keys: use batches of at most 1000 keys");
    })
    .await;
}

#[tokio::test]
async fn keys_come_in_pages_that_together_list_each_key() {
    with_each_type(async |store| {
        let served = chain(store, "").serve();
        assert_eq!(served.ask("count").await, "0");
        assert_eq!(served.ask("fill:2500").await, "done");
        assert_eq!(served.ask("count").await, "2500", "{store}");
        let pages = served.ask("pages").await;
        // Redis chooses the lengths of its pages.
        assert!(pages == "1000,1000,500" || store.contains("redis"), "{pages}");
        for page in pages.split(',') {
            assert!(page.parse::<usize>().unwrap() <= 1000, "{pages}");
        }
    })
    .await;
}

#[tokio::test]
async fn increments_of_four_replicas_at_once_add_up() {
    with_each_type(async |store| {
        let served = chain(store, "replicas = 4\n").serve();
        served.until_state("keeper", "ready", 4.into()).await;
        let calls: Vec<_> = (0..200).map(|_| served.begin("tally:sum")).collect();
        let mut sums = BTreeSet::new();
        for call in calls {
            sums.insert(call.await.unwrap().said().parse::<u32>().unwrap());
        }
        assert_eq!(sums, (1..=200).collect(), "each call has a different sum in {store}");
        assert_eq!(served.ask("get:sum").await, r#"Some("200")"#);
        let mut together = 0;
        for replica in 0..4 {
            let share = served.ask(&format!("increment:sum-{replica}=0")).await.parse::<u32>().unwrap();
            assert!(share > 0, "the replica {replica} took part");
            together += share;
        }
        assert_eq!(together, 200);
    })
    .await;
}

#[tokio::test]
async fn updates_of_four_replicas_at_once_lose_nothing() {
    with_each_type(async |store| {
        let served = chain(store, "replicas = 4\n").serve();
        served.until_state("keeper", "ready", 4.into()).await;
        let calls: Vec<_> = (0..100).map(|_| served.begin("append:list=x")).collect();
        for call in calls {
            call.await.unwrap().said();
        }
        assert_eq!(served.ask("get:list").await, format!("Some({:?})", "x".repeat(100)), "{store}");
    })
    .await;
}

#[tokio::test]
async fn a_swap_after_a_write_fails_and_gives_the_new_value() {
    with_each_type(async |store| {
        let served = chain(store, "").serve();
        // The key is absent at first, and has a value the second time.
        for text in ["first", "second"] {
            assert_eq!(served.ask(&format!("conflict:a={text}")).await, r#"Some("meanwhile")"#, "{store}");
            assert_eq!(served.ask("get:a").await, format!("Some({text:?})"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_value_that_is_no_number_is_not_incremented() {
    with_each_type(async |store| {
        let served = chain(store, "").serve();
        served.ask("set:a=seven").await;
        let error = refused(&served, "increment:a=1").await;
        let expected =
            "a value in the store \"sessions\" is not a number: increment only keys that hold a decimal number";
        assert!(error.starts_with(expected), "{error}");
        served.ask(&format!("set:a={}", i64::MAX)).await;
        let error = refused(&served, "increment:a=1").await;
        assert!(error.starts_with("a sum in the store \"sessions\" does not fit in 64 bits: "), "{error}");
        assert_eq!(served.ask("get:a").await, format!("Some(\"{}\")", i64::MAX));
    })
    .await;
}

#[tokio::test]
async fn a_key_without_bytes_or_with_too_many_is_refused() {
    let served = chain(MEMORY, "").serve();
    let error = refused(&served, "long-key:0").await;
    assert_eq!(error, "a key for the store \"sessions\" is empty: use keys of 1 to 1024 bytes");
    let error = refused(&served, "long-key:1025").await;
    assert_eq!(error, "a key for the store \"sessions\" has 1025 bytes: use keys of 1 to 1024 bytes");
}

#[tokio::test]
async fn a_full_store_refuses_more_and_names_the_limit() {
    for store in [MEMORY, FILE] {
        let served = chain(&format!("{store}\nlimit = \"10KiB\"\nvalue_limit = \"4KiB\"\n"), "").serve();
        served.ask("long:a=4000").await;
        served.ask("long:b=4000").await;
        assert_eq!(
            refused(&served, "long:c=4000").await,
            "the store \"sessions\" is full: it holds 8258 of 10240 bytes, and this write needs 4129 more: \
             delete keys, or raise stores.sessions.limit"
        );
        let error = refused(&served, "batch:100").await;
        assert!(error.contains("raise stores.sessions.limit"), "{error}");
        assert_eq!(served.ask("keys").await, "a,b", "a batch that does not fit leaves nothing behind");
        served.ask("delete:a").await;
        served.ask("long:c=4000").await;
        assert_eq!(served.ask("keys").await, "b,c");
    }
}

#[tokio::test]
async fn a_value_beyond_its_limit_is_refused_and_names_the_limit() {
    with_each_type(async |store| {
        let served = chain(&format!("{store}\nvalue_limit = \"4KiB\"\n"), "").serve();
        served.ask("long:a=4096").await;
        assert_eq!(
            refused(&served, "long:a=4097").await,
            "a value for the store \"sessions\" has 4097 bytes, and at most 4096 are allowed: \
             write a smaller one, or raise stores.sessions.value_limit"
        );
    })
    .await;
    let served = chain(MEMORY, "").serve();
    assert_eq!(served.ask("long:a=1048576").await, "done");
    let error = refused(&served, "long:a=1048577").await;
    assert!(error.contains("at most 1048576 are allowed"), "by default a value has at most 1 MiB: {error}");
}

#[tokio::test]
async fn values_in_memory_survive_a_reload_and_the_trap_of_a_replica() {
    let chain = chain(MEMORY, "");
    let served = chain.serve();
    served.ask("set:a=kept").await;
    served.public.tell("trap").await.problem(500, "trap");
    assert_eq!(served.ask("get:a").await, r#"Some("kept")"#);
    served.signal(Signal::HUP);
    served.until_log("reloaded version=2").await;
    served.until_log("an old version of the chain has stopped").await;
    assert_eq!(served.ask("get:a").await, r#"Some("kept")"#);
    let log = served.log();
    assert!(!log.contains("the store is open with other limits"), "{log}");
}

#[tokio::test]
async fn values_in_memory_end_with_the_host() {
    let chain = chain(MEMORY, "");
    let served = chain.serve();
    served.ask("set:a=lost").await;
    served.signal(Signal::TERM);
    assert_eq!(served.finish().await.code, Some(0));
    assert_eq!(chain.serve().ask("get:a").await, "None");
}

#[tokio::test]
async fn a_reload_with_another_limit_says_that_the_old_one_stays() {
    let chain = chain(&format!("{MEMORY}\nlimit = \"10KiB\"\nvalue_limit = \"4KiB\"\n"), "");
    let served = chain.serve();
    served.ask("set:a=kept").await;
    let raised = text(&format!("{MEMORY}\nlimit = \"20KiB\"\nvalue_limit = \"4KiB\"\n"), "");
    chain.write("chain.toml", Chain::filled(&raised));
    served.signal(Signal::HUP);
    served.until_log("reloaded version=2").await;
    served.until_log("the store is open with other limits").await;
    assert_eq!(served.ask("get:a").await, r#"Some("kept")"#);
}

#[tokio::test]
async fn chainlets_share_the_stores_that_they_name_and_no_others() {
    let chain = Chain::new(
        r#"
[chain]
name = "test"
entrypoint = "first"

[stores.sessions]
type = "memory"

[stores.prices]
type = "memory"

[chainlets.first]
component = "<guest_keeper>"
stores = ["sessions"]

[chainlets.second]
component = "<guest_keeper>"
stores = { default = "sessions", sessions = "prices" }

[chainlets.third]
component = "<guest_keeper>"
stores = ["prices"]
"#,
    );
    let served = chain.serve();
    let ask = async |chainlet: &str, what: &str| served.tell(chainlet, what).await.said();
    ask("first", "set:a=shared").await;
    assert_eq!(ask("second", "get@default:a").await, r#"Some("shared")"#);
    assert_eq!(ask("second", "get@sessions:a").await, "None", "`second` calls another store `sessions`");
    ask("second", "set@sessions:b=cheap").await;
    assert_eq!(ask("third", "get@prices:b").await, r#"Some("cheap")"#);
    for (chainlet, store) in [("third", "sessions"), ("first", "prices"), ("second", "prices"), ("first", "")] {
        let answer = ask(chainlet, &format!("open@{store}")).await;
        assert!(answer.contains("NoSuchStore"), "{chainlet} opens {store:?}: {answer}");
    }
    let problem = served.tell("third", "get:a").await.problem(422, "chainlet-error");
    assert_eq!(
        problem["error"],
        "there is no store `sessions` for this chainlet; add it to `stores` in `[chainlets.third]` in chain.toml"
    );
}

#[tokio::test]
async fn a_guest_that_never_closes_its_stores_traps_at_a_limit() {
    let served = chain(MEMORY, "").serve();
    served.ask("set:a=kept").await;
    served.public.tell("leak").await.problem(500, "trap");
    served.until_state("keeper", "ready", 1.into()).await;
    assert_eq!(served.ask("get:a").await, r#"Some("kept")"#);
}

#[tokio::test]
async fn a_line_by_wasi_logging_has_its_level_its_context_and_its_request() {
    let served = chain(MEMORY, "").serve();
    let reply = served.public.tell("log:low on ink").await;
    let id = reply.headers["x-request-id"].to_str().unwrap().to_owned();
    served.until_log(&format!("WARN keeper[0] request={id}: low on ink fields={{\"context\":\"keeper\"}}")).await;
}

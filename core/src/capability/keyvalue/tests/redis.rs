//! The store on a Redis server.

use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Problem, Server, Store, StoreKind, StoreOptions, Swap, all_keys, on, open, problem};

fn at(url: &str, timeout: Duration) -> StoreOptions {
    StoreOptions { timeout, ..StoreOptions::new(StoreKind::Redis { url: url.to_owned(), prefix: String::new() }) }
}

const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_server_that_is_down_is_an_error_at_once() {
    // Nothing listens on this port.
    let store = open(&at("redis://127.0.0.1:1", Duration::from_secs(5))).await;
    let start = Instant::now();
    let error = store.get("a").await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!(matches!(error.problem(), Problem::Unavailable { .. }));
    assert!(
        error.to_string().starts_with("the store \"test\" is unavailable: the Redis server 127.0.0.1:1: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_listener_that_never_answers_is_an_error_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let store = open(&at(&format!("redis://{}", listener.local_addr().unwrap()), SHORT)).await;
    let start = Instant::now();
    // Many at once do not wait for each other.
    let (first, second, third) = tokio::join!(store.get("a"), store.set("a", vec![]), store.keys(None));
    assert_eq!(problem(first), Problem::TimedOut { after: SHORT });
    assert_eq!(problem(second), Problem::TimedOut { after: SHORT });
    assert_eq!(problem(third), Problem::TimedOut { after: SHORT });
    assert!(start.elapsed() < 3 * SHORT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_address_without_a_route_is_an_error_in_time() {
    let store = open(&at("redis://192.0.2.1:6379", SHORT)).await;
    let start = Instant::now();
    assert!(matches!(problem(store.ping().await), Problem::TimedOut { .. } | Problem::Unavailable { .. }));
    assert!(start.elapsed() < 3 * SHORT);
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_is_used_again() {
    let Some(mut server) = Server::start(&[]) else { return };
    let store = open(&on(&server, "killed")).await;
    assert_eq!(store.increment("sum", 1).await.unwrap(), 1);
    server.kill();
    for _ in 0..3 {
        assert!(matches!(problem(store.increment("sum", 1).await), Problem::Unavailable { .. }));
        assert!(matches!(problem(store.get("sum").await), Problem::Unavailable { .. }));
    }
    server.restart();
    // The server can answer that it still loads its data.
    let start = Instant::now();
    while store.ping().await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(store.increment("sum", 1).await.unwrap(), 2);
}

#[tokio::test]
async fn a_read_is_repeated_when_the_connection_broke() {
    let Some(server) = Server::start(&[]) else { return };
    let store = open(&on(&server, "broken")).await;
    store.set("a", vec![1]).await.unwrap();
    for _ in 0..10 {
        server.command(&[b"CLIENT", b"KILL", b"TYPE", b"normal", b"SKIPME", b"yes"]);
        assert_eq!(store.get("a").await.unwrap().unwrap(), vec![1]);
    }
}

#[tokio::test]
async fn a_server_that_stalls_is_an_error_in_time_and_recovers() {
    let Some(server) = Server::start(&[]) else { return };
    let store = open(&StoreOptions { timeout: SHORT, ..on(&server, "stalled") }).await;
    store.set("a", vec![1]).await.unwrap();
    server.signal("STOP");
    let start = Instant::now();
    assert_eq!(problem(store.get("a").await), Problem::TimedOut { after: SHORT });
    assert_eq!(problem(store.set("b", vec![]).await), Problem::TimedOut { after: SHORT });
    assert!(start.elapsed() < 5 * SHORT);
    server.signal("CONT");
    assert_eq!(store.get("a").await.unwrap().unwrap(), vec![1]);
}

#[tokio::test]
async fn a_write_after_an_idle_time_finds_a_broken_connection_first() {
    let Some(server) = Server::start(&[]) else { return };
    let store = open(&on(&server, "idle")).await;
    for number in 1..5 {
        assert_eq!(store.increment("sum", 1).await.unwrap(), number);
        tokio::time::sleep(Duration::from_millis(250)).await;
        server.command(&[b"CLIENT", b"KILL", b"TYPE", b"normal", b"SKIPME", b"yes"]);
    }
}

/// Passes bytes between clients and `server`. Connections made before `lost` is set pass nothing any more after it.
async fn proxy(server: &Server, lost: watch::Receiver<bool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let target = server.url().trim_start_matches("redis://").to_owned();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let (target, mut lost) = (target.clone(), lost.clone());
            lost.mark_unchanged();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(target).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    _ = lost.changed() => std::future::pending().await,
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn a_connection_that_is_lost_without_a_word_is_replaced() {
    let Some(server) = Server::start(&[]) else { return };
    let (lose, lost) = watch::channel(false);
    let store = open(&at(&proxy(&server, lost).await, SHORT)).await;
    store.set("a", vec![1]).await.unwrap();
    lose.send(true).unwrap();
    assert_eq!(problem(store.get("a").await), Problem::TimedOut { after: SHORT });
    assert_eq!(store.get("a").await.unwrap().unwrap(), vec![1]);
}

#[tokio::test]
async fn a_password_that_becomes_right_is_used() {
    let Some(server) = Server::start(&[]) else { return };
    server.command(&[b"ACL", b"SETUSER", b"guest", b"on", b">other", b"~*", b"+@all"]);
    let url = server.url().replace("//", "//guest:hunter2@");
    let store = open(&at(&url, Duration::from_secs(5))).await;
    let error = store.ping().await.unwrap_err();
    assert!(matches!(error.problem(), Problem::Unavailable { .. }));
    assert!(!error.to_string().contains("hunter2") && !format!("{:?}", at(&url, SHORT)).contains("hunter2"));
    server.command(&[b"ACL", b"SETUSER", b"guest", b">hunter2"]);
    store.ping().await.unwrap();
}

#[tokio::test]
async fn stores_with_different_prefixes_do_not_meet() {
    let Some(server) = Server::start(&[]) else { return };
    let (first, second) = (open(&on(&server, "first")).await, open(&on(&server, "second")).await);
    first.set("a", vec![1]).await.unwrap();
    assert_eq!(second.get("a").await.unwrap(), None);
    assert!(all_keys(&second).await.is_empty());
    // The prefix is no pattern: this key matches it only as one.
    server.command(&[b"SET", b"secondX?\\:trap", b""]);
    server.command(&[b"SET", b"second[*]?\\:\xff", b"a key that is not UTF-8"]);
    assert!(all_keys(&second).await.is_empty());
    assert_eq!(all_keys(&first).await, ["a"]);
    second.delete("a").await.unwrap();
    assert!(first.exists("a").await.unwrap());
}

#[tokio::test]
async fn few_keys_among_many_are_found() {
    let Some(server) = Server::start(&["--appendonly", "no"]) else { return };
    let script = b"for i = 1, 60000 do redis.call('SET', 'other' .. i, '') end";
    server.command(&[b"EVAL", script, b"0"]);
    let store = open(&on(&server, "few")).await;
    store.set("needle", vec![]).await.unwrap();
    assert_eq!(all_keys(&store).await, ["needle"]);
}

#[tokio::test]
async fn a_server_without_memory_says_so() {
    let Some(server) = Server::start(&["--maxmemory", "1"]) else { return };
    let store = open(&on(&server, "full")).await;
    assert_eq!(problem(store.set("a", vec![1]).await), Problem::ServerFull);
    assert_eq!(problem(store.increment("a", 1).await), Problem::ServerFull);
    assert_eq!(problem(store.set_many(vec![("a".into(), vec![])]).await), Problem::ServerFull);
    assert_eq!(problem(store.compare_and_swap("a", None, vec![]).await), Problem::ServerFull);
    assert_eq!(store.get("a").await.unwrap(), None);
}

#[tokio::test]
async fn a_key_of_another_type_is_an_error() {
    let Some(server) = Server::start(&[]) else { return };
    let store = open(&at(&server.url(), Duration::from_secs(5))).await;
    server.command(&[b"RPUSH", b"list", b"a"]);
    assert!(matches!(problem(store.get("list").await), Problem::Unavailable { .. }));
    assert!(matches!(problem(store.increment("list", 1).await), Problem::Unavailable { .. }));
    assert!(matches!(problem(store.compare_and_swap("list", None, vec![]).await), Problem::Unavailable { .. }));
    store.set("list", vec![1]).await.unwrap();
    assert_eq!(store.compare_and_swap("list", None, vec![]).await.unwrap(), Swap::Stale(Some(vec![1].into())));
}

#[tokio::test]
async fn cursors_of_other_kinds_are_rejected() {
    let Some(server) = Server::start(&[]) else { return };
    let store = open(&on(&server, "cursor")).await;
    for cursor in ["", "a", "1+", "+1", "-1", "1 ", "18446744073709551616"] {
        assert_eq!(problem(store.keys(Some(cursor)).await), Problem::BadCursor, "{cursor:?}");
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_an_error() {
    for url in ["", "127.0.0.1", "http://127.0.0.1", "redis://:secret@host:port"] {
        let error = Store::open("test", &at(url, SHORT)).await.err().unwrap();
        assert!(matches!(error.problem(), Problem::BadSpec { key: "url", .. }), "{error}");
        assert!(!error.to_string().contains("secret"));
    }
}

#[tokio::test]
async fn tls_to_a_server_without_it_is_an_error() {
    let Some(server) = Server::start(&[]) else { return };
    let store = open(&at(&server.url().replace("redis:", "rediss:"), Duration::from_secs(5))).await;
    assert!(matches!(problem(store.ping().await), Problem::Unavailable { .. } | Problem::TimedOut { .. }));
}

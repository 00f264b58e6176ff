//! Stores on a Redis server. A machine without `redis-server` skips these tests.

use rustix::process::Signal;

use super::{chain, refused};
use crate::harness::{Redis, Served, eventually};

/// Returns the keys of a store on `server`.
pub(super) fn store(server: &Redis) -> String {
    format!("type = \"redis\"\nurl = \"{}\"\ntimeout = \"20s\"", server.url())
}

/// Repeats a call until it succeeds, and returns its answer.
async fn until_answered(served: &Served, what: &str) -> String {
    eventually(&format!("{what} is answered"), async || {
        let reply = served.public.tell(what).await;
        (reply.status == 200).then(|| reply.said())
    })
    .await
}

#[tokio::test]
async fn hosts_share_a_store_on_a_redis_server_and_prefixes_separate_them() {
    let Some(server) = Redis::start() else { return };
    let (first, second) = (chain(&store(&server), "").serve(), chain(&store(&server), "").serve());
    first.ask("set:a=shared").await;
    assert_eq!(second.ask("get:a").await, r#"Some("shared")"#);
    let other = chain(&format!("{}\nprefix = \"shop:\"", store(&server)), "").serve();
    assert_eq!(other.ask("keys").await, "");
    other.ask("set:a=apart").await;
    assert_eq!(first.ask("keys").await, "a");
    // By default, the prefix consists of the names of the chain and of the store.
    assert!(server.command("GET test:sessions:a").contains("shared"));
    assert!(server.command("GET shop:a").contains("apart"));
}

#[tokio::test]
async fn values_on_a_redis_server_survive_a_restart_of_either_side() {
    let Some(mut server) = Redis::start() else { return };
    let chain = chain(&store(&server), "");
    let served = chain.serve();
    served.ask("set:a=kept").await;
    server.kill();
    server.resume();
    // The first call after the restart may fail, because the old connection is gone.
    assert_eq!(until_answered(&served, "get:a").await, r#"Some("kept")"#);
    assert_eq!(served.ask("increment:count=1").await, "1");
    served.signal(Signal::TERM);
    served.finish().await;
    assert_eq!(chain.serve().ask("get:a").await, r#"Some("kept")"#);
}

#[tokio::test]
async fn the_error_for_a_lost_redis_server_names_it_and_gives_advice() {
    let Some(mut server) = Redis::start() else { return };
    let served = chain(&store(&server), "").serve();
    served.ask("set:a=kept").await;
    server.kill();
    for what in ["get:a", "set:a=other", "increment:count=1", "keys"] {
        let error = refused(&served, what).await;
        let start = format!("the store \"sessions\" is unavailable: the Redis server {}: ", server.address());
        assert!(error.starts_with(&start), "{what}: {error}");
        assert!(error.ends_with(": try again later, and check stores.sessions"), "{what}: {error}");
    }
    server.resume();
    assert_eq!(until_answered(&served, "get:a").await, r#"Some("kept")"#);
}

#[tokio::test]
async fn a_redis_server_that_does_not_answer_is_an_error_after_the_timeout() {
    let Some(server) = Redis::start() else { return };
    let store = store(&server).replace("20s", "300ms");
    let served = chain(&store, "").serve();
    until_answered(&served, "set:a=kept").await;
    server.signal(Signal::STOP);
    let error = refused(&served, "get:a").await;
    assert!(error.starts_with("the store \"sessions\" did not answer within 300ms; "), "{error}");
    assert!(error.ends_with("try again later, or raise stores.sessions.timeout"), "{error}");
    server.signal(Signal::CONT);
    assert_eq!(until_answered(&served, "get:a").await, r#"Some("kept")"#);
}

#[tokio::test]
async fn a_host_starts_while_its_redis_server_is_down() {
    let Some(mut server) = Redis::start() else { return };
    server.kill();
    let served = chain(&store(&server), "").serve();
    served.until_log("the store does not answer yet").await;
    refused(&served, "get:a").await;
    server.resume();
    assert_eq!(until_answered(&served, "get:a").await, "None");
}

#[tokio::test]
async fn a_password_comes_from_a_secret_and_is_in_no_log() {
    let password = "hunter2-5c1f";
    let Some(server) = Redis::start_with(Some(password)) else { return };
    let chain = chain("type = \"redis\"\nurl_secret = \"redis_url\"", "");
    chain
        .run(&["check", "chain.toml"])
        .refused(3, &["stores.sessions.url_secret", "the secret redis_url is not set", "REDIS_URL"]);
    chain.run(&["check", "chain.toml", "--without-secrets"]).answer();
    let start = |password: &str| {
        let mut command = chain.serve_command(&[]);
        command.env("REDIS_URL", format!("redis://:{password}@{}", server.address()));
        command.env("CHAINHOST_LOG", "trace");
        Served::start(command)
    };
    let served = start(password);
    served.ask("set:a=kept").await;
    for endpoint in [served.public, served.admin] {
        for path in ["/openapi.json", "/chain", "/metrics"] {
            assert!(!endpoint.get(path).await.text().contains(password), "{path}");
        }
    }
    assert!(!served.log().contains(password));
    let served = start("wrong-5c1f");
    let error = refused(&served, "get:a").await;
    assert!(error.starts_with("the store \"sessions\" is unavailable: "), "{error}");
    assert!(!error.contains("wrong-5c1f") && !served.log().contains("wrong-5c1f"), "{error}");
}

#[tokio::test]
async fn a_list_on_a_redis_server_is_not_read_as_a_value() {
    let Some(server) = Redis::start() else { return };
    let served = chain(&store(&server), "").serve();
    server.command("RPUSH test:sessions:list a");
    let error = refused(&served, "get:list").await;
    assert!(error.starts_with("the store \"sessions\" is unavailable: "), "{error}");
    assert_eq!(served.ask("set:list=text").await, "done");
    assert_eq!(served.ask("get:list").await, r#"Some("text")"#);
}

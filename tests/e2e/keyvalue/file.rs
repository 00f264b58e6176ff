//! Stores in files.

use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use super::{FILE, chain, refused};
use crate::harness::{Chain, Process};

/// Asserts that `serve` ends with an error about the store of the chain, which contains `words`.
fn refuses_to_serve(chain: &Chain, words: &[&str]) {
    let finished = Process::start(chain.serve_command(&[])).finish();
    finished.refused(3, &["error: chain.toml:", "stores.sessions: "]);
    finished.refused(3, words);
}

#[tokio::test]
async fn values_in_a_file_survive_a_restart_and_a_kill() {
    let chain = chain(FILE, "");
    let served = chain.serve();
    served.ask("set:a=kept").await;
    served.signal(Signal::TERM);
    assert_eq!(served.finish().await.code, Some(0));
    let served = chain.serve();
    assert_eq!(served.ask("get:a").await, r#"Some("kept")"#);
    served.ask("increment:count=1").await;
    served.signal(Signal::KILL);
    served.finish().await;
    let served = chain.serve();
    assert_eq!(served.ask("get:a").await, r#"Some("kept")"#);
    assert_eq!(served.ask("increment:count=1").await, "2", "the first write was on the disk before its answer");
}

#[tokio::test]
async fn values_in_a_file_survive_a_reload_and_the_trap_of_a_replica() {
    let chain = chain(FILE, "");
    let served = chain.serve();
    served.ask("set:a=kept").await;
    served.public.tell("trap").await.problem(500, "trap");
    assert_eq!(served.ask("get:a").await, r#"Some("kept")"#);
    served.signal(Signal::HUP);
    served.until_log("reloaded version=2").await;
    assert_eq!(served.ask("get:a").await, r#"Some("kept")"#);
}

#[tokio::test]
async fn a_reload_finds_the_open_file_behind_a_symbolic_link() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("real")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("real"), folder.path().join("link")).unwrap();
    // The file does not exist when the host opens it first, and exists at the reload.
    let path = folder.path().join("link/sessions.redb");
    let chain = chain(&format!("type = \"file\"\npath = '{}'", path.display()), "");
    let served = chain.serve();
    served.ask("set:a=kept").await;
    served.signal(Signal::HUP);
    served.until_log("reloaded version=2").await;
    assert_eq!(served.ask("get:a").await, r#"Some("kept")"#);
}

#[tokio::test]
async fn a_check_neither_opens_nor_makes_a_file() {
    let chain = chain(FILE, "");
    let finished = chain.run(&["check", "chain.toml"]);
    assert!(finished.answer().contains("sessions in data/sessions.redb, at most 64MiB"), "{}", finished.stdout);
    assert!(!chain.folder().join("data").exists());
    let served = chain.serve();
    chain.run(&["check", "chain.toml"]).answer();
    served.ask("set:a=x").await;
    let mode = |path: &str| chain.folder().join(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data"), mode("data/sessions.redb")), (0o700, 0o600), "only the owner may use the file");
}

#[tokio::test]
async fn a_start_fails_if_another_host_has_the_file_open() {
    let first = chain(FILE, "");
    let served = first.serve();
    served.ask("set:a=kept").await;
    let path = first.folder().join("data/sessions.redb");
    let second = chain(&format!("type = \"file\"\npath = '{}'", path.display()), "");
    let advice = ["another process has the file", "end that process, or choose another stores.sessions.path"];
    refuses_to_serve(&second, &advice);
    assert_eq!(served.ask("get:a").await, r#"Some("kept")"#, "the first host still works");
    served.signal(Signal::TERM);
    served.finish().await;
    assert_eq!(second.serve().ask("get:a").await, r#"Some("kept")"#);
}

#[tokio::test]
async fn a_start_with_a_damaged_file_fails_and_does_not_change_the_file() {
    let chain = chain(FILE, "");
    let served = chain.serve();
    served.ask("fill:1000").await;
    served.signal(Signal::TERM);
    served.finish().await;
    let path = chain.folder().join("data/sessions.redb");
    let whole = std::fs::read(&path).unwrap();
    let half = &whole[..whole.len() / 2];
    for bytes in [b"this is no database".as_slice(), half] {
        std::fs::write(&path, bytes).unwrap();
        let advice = "restore it from a backup, move it away, or choose another stores.sessions.path";
        refuses_to_serve(&chain, &["data/sessions.redb", "is damaged", advice]);
        assert!(std::fs::read(&path).unwrap() == bytes, "the file is changed");
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(chain.serve().ask("count").await, "1000");
}

#[tokio::test]
async fn a_start_fails_if_the_path_cannot_be_a_file() {
    let chain = chain("type = \"file\"\npath = \"data\"", "");
    std::fs::create_dir(chain.folder().join("data")).unwrap();
    refuses_to_serve(&chain, &["data"]);
}

#[tokio::test]
async fn entries_beyond_a_lowered_limit_stay() {
    let (high, low) = ("limit = \"20KiB\"\nvalue_limit = \"4KiB\"\n", "limit = \"5KiB\"\nvalue_limit = \"1KiB\"\n");
    let chain = chain(&format!("{FILE}\n{high}"), "");
    let served = chain.serve();
    for key in ["a", "b", "c"] {
        served.ask(&format!("long:{key}=4000")).await;
    }
    served.signal(Signal::TERM);
    served.finish().await;
    chain.write("chain.toml", Chain::filled(&super::text(&format!("{FILE}\n{low}"), "")));
    let served = chain.serve();
    assert_eq!(served.ask("keys").await, "a,b,c");
    let error = refused(&served, "get:a").await;
    assert!(error.contains("delete or replace it, or raise stores.sessions.value_limit"), "{error}");
    let error = refused(&served, "long:d=1000").await;
    assert!(error.contains("raise stores.sessions.limit"), "{error}");
    served.ask("long:a=1000").await;
    served.ask("delete-many:b,c").await;
    served.ask("long:d=1000").await;
    assert_eq!(served.ask("keys").await, "a,d");
}

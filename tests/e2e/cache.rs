//! The cache of compiled code on disk. The host uses an entry that is intact and safe, and compiles again otherwise.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value as Json;

use crate::harness::{Chain, FAULTY, Finished, Process, RELAY, Served, chainhost};

/// The words of the log for an entry that is not used.
const UNUSABLE: &str = "cached code is unusable";

/// A chain with its own cache.
struct Cached {
    chain: Chain,
    home: tempfile::TempDir,
}

impl Cached {
    fn new() -> Self {
        Cached { chain: Chain::new(RELAY), home: tempfile::tempdir().unwrap() }
    }

    fn call_at(&self, home: &Path) -> Finished {
        let mut command = self.chain.command(&["call", "chain.toml", r#"{"what": "echo:x"}"#]);
        command.env("XDG_CACHE_HOME", home);
        let finished = Process::start(command).finish();
        assert_eq!(finished.answer(), "\"x\"\n");
        finished
    }

    fn call(&self) -> Finished {
        self.call_at(self.home.path())
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("chainhost/code")
    }

    /// Returns the entries, and the time at which each was written.
    fn entries(&self) -> BTreeMap<PathBuf, SystemTime> {
        let files = std::fs::read_dir(self.folder()).unwrap().map(|entry| entry.unwrap());
        files.map(|file| (file.path(), file.metadata().unwrap().modified().unwrap())).collect()
    }
}

#[test]
fn a_second_start_compiles_nothing() {
    let cached = Cached::new();
    cached.call();
    let first = cached.entries();
    assert_eq!(first.len(), 2, "each component has one entry, even if two chainlets use it");
    assert_eq!(cached.call().stderr, "");
    assert_eq!(cached.entries(), first, "nothing was written again");
}

#[test]
fn a_corrupted_entry_is_compiled_again_and_replaced() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 4] = [
        ("a changed byte", |code| *code.last_mut().unwrap() ^= 1),
        ("a changed head", |code| code[20] ^= 1),
        ("half of it", |code| code.truncate(code.len() / 2)),
        ("nothing of it", Vec::clear),
    ];
    let cached = Cached::new();
    cached.call();
    for (what, damage) in damages {
        let path = cached.entries().into_keys().next().unwrap();
        let mut code = std::fs::read(&path).unwrap();
        damage(&mut code);
        std::fs::write(&path, &code).unwrap();
        let finished = cached.call();
        assert!(finished.stderr.contains(UNUSABLE), "{what}: {}", finished.stderr);
        assert!(std::fs::read(&path).unwrap() != code, "{what}: the entry is still there");
        assert_eq!(cached.call().stderr, "", "{what}: the new entry is good");
    }
}

#[test]
fn an_entry_of_another_component_is_not_used_for_this_one() {
    let cached = Cached::new();
    cached.call();
    let entries: Vec<_> = cached.entries().into_keys().collect();
    std::fs::copy(&entries[0], &entries[1]).unwrap();
    let finished = cached.call();
    assert!(finished.stderr.contains("it is of another component"), "{}", finished.stderr);
    assert_eq!(cached.call().stderr, "");
}

#[test]
fn an_entry_that_other_users_could_have_written_is_not_trusted() {
    let cached = Cached::new();
    cached.call();
    let path = cached.entries().into_keys().next().unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let finished = cached.call();
    assert!(finished.stderr.contains(UNUSABLE), "{}", finished.stderr);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o022, 0);
}

#[test]
fn without_a_usable_folder_every_start_compiles_and_says_so() {
    let cached = Cached::new();
    let file = cached.chain.write("a-file", "");
    let finished = cached.call_at(&file);
    assert!(finished.stderr.contains("no code cache"), "{}", finished.stderr);

    cached.call();
    std::fs::set_permissions(cached.folder(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let finished = cached.call();
    assert!(finished.stderr.contains("no code cache"), "{}", finished.stderr);
}

/// Returns the output of `chainhost cache --json`, with more `options`.
fn cache_json(home: &Path, options: &[&str]) -> Json {
    serde_json::from_str(cache(home, &[options, &["--json"]].concat()).answer()).unwrap()
}

/// Runs `chainhost cache`.
fn cache(home: &Path, options: &[&str]) -> Finished {
    let mut command = chainhost();
    command.arg("cache").args(options).env("XDG_CACHE_HOME", home);
    Process::start(command).finish()
}

#[test]
fn the_cache_is_shown_and_cleared_while_a_chain_is_served() {
    let cached = Cached::new();
    assert_eq!(cache_json(cached.home.path(), &[])["entries"], 0);
    assert_eq!(cache_json(cached.home.path(), &[])["oldest_use"], Json::Null);
    assert!(!cached.folder().exists(), "showing the cache creates no folder");

    let mut command = cached.chain.serve_command(&[]);
    command.env("XDG_CACHE_HOME", cached.home.path());
    let served = Served::start(command);
    let bytes: u64 = cached.entries().keys().map(|path| path.metadata().unwrap().len()).sum();
    let shown = cache_json(cached.home.path(), &["--cache-limit", "1MiB", "--cache-age", "1h"]);
    assert_eq!((&shown["entries"], &shown["bytes"]), (&2.into(), &bytes.into()));
    assert_eq!((&shown["limit_bytes"], &shown["limit_seconds"]), (&(1 << 20).into(), &3600.into()));
    assert_eq!(shown["folder"].as_str(), cached.folder().to_str());
    let text = cache(cached.home.path(), &[]);
    let lines: Vec<_> = text.answer().lines().map(|line| line.split_once("  ").unwrap().0).collect();
    assert_eq!(lines, ["folder", "entries", "size", "oldest use"]);

    let cleared = cache_json(cached.home.path(), &["--clear"]);
    assert_eq!((&cleared["removed_entries"], &cleared["removed_bytes"]), (&2.into(), &bytes.into()));
    assert!(cached.entries().is_empty());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(served.ask("echo:still there")), "still there");
    cached.call();
    assert_eq!(cached.entries().len(), 2);
    let text = cache(cached.home.path(), &["--clear"]);
    assert!(text.answer().starts_with("removed 2 entries, "), "{text:?}");
}

#[test]
fn an_unsafe_folder_is_neither_shown_nor_cleared() {
    let cached = Cached::new();
    cached.call();
    std::fs::set_permissions(cached.folder(), std::fs::Permissions::from_mode(0o777)).unwrap();
    for options in [&[][..], &["--clear"]] {
        cache(cached.home.path(), options).refused(7, &["others may write to it", "chainhost/code"]);
    }
    assert_eq!(cached.entries().len(), 2);
}

#[test]
fn a_new_component_takes_the_place_of_the_least_recently_used() {
    let cached = Cached::new();
    cached.call();
    let relay = cached.entries();
    let other = Chain::new(&FAULTY.replace("<guest_faulty>", "<guest_sync>"));
    let check = |options: &[&str]| {
        let mut command = other.command(&[&["check", "chain.toml"], options].concat());
        command.env("XDG_CACHE_HOME", cached.home.path());
        Process::start(command).finish().answer();
    };
    check(&[]);
    let all = cached.entries();
    assert_eq!(all.len(), 3, "the limit is large by default");
    let sync = all.keys().find(|path| !relay.contains_key(*path)).unwrap();

    // The entries that were used last stay, although they were written first.
    cached.call();
    std::fs::remove_file(relay.keys().next().unwrap()).unwrap();
    let mut command = cached.chain.command(&["call", "chain.toml", r#"{"what": "echo:x"}"#, "--cache-limit", "1B"]);
    command.env("XDG_CACHE_HOME", cached.home.path());
    Process::start(command).finish().answer();
    let left = cached.entries();
    assert!(left.keys().eq(relay.keys()), "only the entries of this chain stay: {left:?}, without {sync:?}");
}

#[test]
fn a_component_that_was_not_used_for_long_is_removed() {
    let cached = Cached::new();
    cached.call();
    let long_ago = SystemTime::now() - Duration::from_secs(2 * 60 * 60);
    let times = std::fs::FileTimes::new().set_accessed(long_ago).set_modified(long_ago);
    for path in cached.entries().keys() {
        std::fs::File::options().write(true).open(path).unwrap().set_times(times).unwrap();
    }
    let other = Chain::new(&FAULTY.replace("<guest_faulty>", "<guest_sync>"));
    let check = |age: &str| {
        let mut command = other.command(&["check", "chain.toml"]);
        command.env("XDG_CACHE_HOME", cached.home.path()).env("CHAINHOST_CACHE_AGE", age);
        Process::start(command).finish().answer();
        cached.entries().len()
    };
    assert_eq!(check("3h"), 3);
    assert_eq!(check("1h"), 3, "without a new entry, none is removed");
    cache(cached.home.path(), &[]).answer();
    let newest = cached.entries().into_iter().max_by_key(|(_, written)| *written).unwrap().0;
    std::fs::remove_file(newest).unwrap();
    assert_eq!(check("1h"), 1);
}

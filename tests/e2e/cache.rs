//! Compiled code on disk: used where it is what it says, made anew where it is not.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::harness::{Chain, Finished, Process, RELAY};

/// What the log says when an entry is not used.
const UNUSABLE: &str = "cached code is unusable";

/// A chain with a cache of its own.
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

    /// The entries, and when each was written.
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
    assert_eq!(first.len(), 2, "one entry a component, though one of them is two chainlets");
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
fn an_entry_of_another_component_is_not_taken_for_this_one() {
    let cached = Cached::new();
    cached.call();
    let entries: Vec<_> = cached.entries().into_keys().collect();
    std::fs::copy(&entries[0], &entries[1]).unwrap();
    let finished = cached.call();
    assert!(finished.stderr.contains("it is of another component"), "{}", finished.stderr);
    assert_eq!(cached.call().stderr, "");
}

#[test]
fn an_entry_that_others_could_have_written_is_not_trusted() {
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

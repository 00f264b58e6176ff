//! The store in a file.

use std::fs;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{Problem, Store, StoreKind, StoreOptions, all_keys, file, open, problem};

const PATH: &str = "KEYVALUE_TEST_FILE";

async fn failure(spec: &StoreOptions) -> Problem {
    problem(Store::open("test", spec).await.map(|_| ()))
}

fn at(path: &Path) -> StoreOptions {
    StoreOptions::new(StoreKind::File { path: path.to_owned() })
}

#[tokio::test]
async fn the_file_and_its_folder_are_made_for_one_user() {
    let folder = tempfile::tempdir().unwrap();
    open(&file(folder.path())).await.set("a", vec![1]).await.unwrap();
    let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("made"), 0o700);
    assert_eq!(mode("made/store.redb"), 0o600);
}

#[tokio::test]
async fn entries_survive_a_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&file(folder.path())).await;
    store.set("a", vec![1, 2]).await.unwrap();
    store.close().await;
    assert_eq!(problem(store.get("a").await), Problem::Closed);
    assert_eq!(open(&file(folder.path())).await.get("a").await.unwrap().unwrap(), vec![1, 2]);
}

#[tokio::test]
async fn a_second_opener_in_this_process_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let spec = file(folder.path());
    let first = open(&spec).await;
    assert!(matches!(failure(&spec).await, Problem::InUse { .. }));
    first.set("a", vec![]).await.unwrap();
    drop(first);
    open(&spec).await;
}

/// Runs as another process for the tests below, and does nothing in a run of all tests.
#[tokio::test]
async fn writes_as_another_process() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let store = open(&StoreOptions { limit: 2000, ..at(Path::new(&path)) }).await;
    // Until the other process kills this one.
    for number in 0.. {
        store.increment("sum", 1).await.unwrap();
        store.set("filler", vec![b'x'; number % 700]).await.unwrap();
        writeln!(std::io::stderr(), "wrote {}", number + 1).unwrap();
    }
}

/// Starts another process that writes to `path`, and waits until it has written `count` times.
fn other_process(path: &Path, count: usize) -> Child {
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::writes_as_another_process")])
        .env(PATH, path)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == format!("wrote {count}")));
    // A broken pipe would end the process before it is killed.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

#[tokio::test]
async fn a_file_that_another_process_has_open_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let mut other = other_process(&path, 1);
    let error = Store::open("cart", &at(&path)).await.err().unwrap();
    let text = format!(
        "another process has the file {path:?} of the store \"cart\" open: end that process, or choose another stores.cart.path"
    );
    assert_eq!(error.to_string(), text);
    other.kill().unwrap();
    other.wait().unwrap();
    open(&at(&path)).await;
}

#[tokio::test]
async fn a_kill_loses_no_write_that_returned_and_keeps_the_quota() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let mut other = other_process(&path, 50);
    other.kill().unwrap();
    other.wait().unwrap();
    let store = open(&StoreOptions { limit: 2000, ..at(&path) }).await;
    let sum = store.get("sum").await.unwrap().unwrap();
    let filler = store.get("filler").await.unwrap().unwrap();
    assert!(str::from_utf8(&sum).unwrap().parse::<u64>().unwrap() >= 50);
    let used = 2 * super::super::limits::ENTRY_OVERHEAD + (3 + sum.len() + 6 + filler.len()) as u64;
    let full = problem(store.set("rest", vec![b'x'; 1900]).await);
    assert_eq!(full, Problem::Full { used, needed: 1900 + 4 + 128, limit: 2000 });
}

#[tokio::test]
async fn a_file_of_another_kind_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    for content in ["no database".repeat(1000), "x".into()] {
        fs::write(&path, &content).unwrap();
        assert!(matches!(failure(&at(&path)).await, Problem::Corrupt { .. }));
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
    assert!(matches!(failure(&at(folder.path())).await, Problem::Unavailable { .. }));
    assert!(matches!(failure(&at(Path::new("/dev/null"))).await, Problem::BadSpec { key: "path", .. }));
    assert!(matches!(failure(&at(&path.join("below"))).await, Problem::Unavailable { .. }));
}

#[tokio::test]
async fn the_database_of_another_program_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let database = redb::Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<u64, u64>::new("theirs")).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(failure(&at(&path)).await, Problem::Corrupt { .. }));
}

/// A file with 200 entries of 1000 bytes.
async fn filled(path: &Path) {
    let store = open(&at(path)).await;
    let entries = (0..200).map(|number| (format!("key {number:03}"), vec![number; 1000]));
    store.set_many(entries.collect()).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn damage_anywhere_is_an_error_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    filled(&whole).await;
    let length = fs::metadata(&whole).unwrap().len();
    let path = folder.path().join("damaged");
    let mut errors = 0;
    for part in 0..40 {
        fs::copy(&whole, &path).unwrap();
        let mut damaged = fs::OpenOptions::new().write(true).open(&path).unwrap();
        damaged.seek(SeekFrom::Start(length / 40 * part)).unwrap();
        damaged.write_all(&[0xA5; 4096]).unwrap();
        match Store::open("test", &at(&path)).await {
            // The damage is in a part that is not in use.
            Ok(store) => {
                let keys = all_keys(&store).await;
                assert_eq!(keys.len(), 200);
                for (number, value) in (0..200).zip(store.get_many(keys).await.unwrap()) {
                    assert_eq!(value.unwrap(), vec![number; 1000]);
                }
            }
            Err(error) => {
                assert!(matches!(error.problem(), Problem::Corrupt { .. }), "{error}");
                errors += 1;
            }
        }
    }
    assert!(errors > 0);
}

#[tokio::test]
async fn a_short_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    filled(&path).await;
    let length = fs::metadata(&path).unwrap().len();
    for short in [100, 4096, length / 2, length - 4096] {
        filled(&path).await;
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(short).unwrap();
        assert!(matches!(failure(&at(&path)).await, Problem::Corrupt { .. }), "cut to {short} of {length} bytes");
        fs::remove_file(&path).unwrap();
    }
}

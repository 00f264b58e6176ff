use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns a folder whose entry `n` has 100 bytes and was last used `n` days ago.
fn folder(days: &[u32]) -> (tempfile::TempDir, CacheFolder, SystemTime) {
    let home = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    for &day in days {
        write(&home.path().join(entry(day)), now - DAY * day);
    }
    let folder = CacheFolder::new(home.path());
    (home, folder, now)
}

fn write(path: &Path, used: SystemTime) {
    fs::write(path, [0; 100]).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_times(fs::FileTimes::new().set_accessed(used).set_modified(used)).unwrap();
}

fn entry(day: u32) -> String {
    name(&blake3::hash(&day.to_le_bytes()))
}

fn limits(bytes: u64, days: u32) -> CacheLimits {
    CacheLimits { bytes, age: DAY * days }
}

/// Returns those of `days` whose entries exist.
fn left(folder: &CacheFolder, days: &[u32]) -> Vec<u32> {
    days.iter().copied().filter(|day| folder.path().join(entry(*day)).exists()).collect()
}

#[test]
fn the_least_recently_used_entries_go_first() {
    let days = [3, 1, 4, 2];
    let (_home, folder, now) = folder(&days);
    let removed = folder.prune(limits(250, 30), &HashSet::new(), now).unwrap();
    assert_eq!((removed.entries, removed.bytes), (2, 200));
    assert_eq!(left(&folder, &days), [1, 2]);
}

#[test]
fn entries_that_are_too_old_go_even_if_there_is_room() {
    let days = [29, 31, 300];
    let (_home, folder, now) = folder(&days);
    assert_eq!(folder.prune(limits(u64::MAX, 30), &HashSet::new(), now).unwrap().entries, 2);
    assert_eq!(left(&folder, &days), [29]);
}

#[test]
fn entries_in_use_stay_and_count() {
    let days = [1, 2, 300];
    let (_home, folder, now) = folder(&days);
    let keep = HashSet::from([entry(300), entry(2)]);
    folder.prune(limits(250, 30), &keep, now).unwrap();
    assert_eq!(left(&folder, &days), [2, 300]);
    folder.prune(limits(0, 30), &keep, now).unwrap();
    assert_eq!(left(&folder, &days), [2, 300]);
}

#[test]
fn an_entry_whose_last_use_is_in_the_future_is_new() {
    let (_home, folder, now) = folder(&[0]);
    folder.prune(limits(100, 30), &HashSet::new(), now - DAY * 365).unwrap();
    assert_eq!(left(&folder, &[0]), [0]);
}

#[test]
fn a_use_makes_an_old_entry_recent() {
    let (home, folder, now) = folder(&[20, 10]);
    let path = home.path().join(entry(20));
    let written = path.metadata().unwrap().modified().unwrap();
    mark_used(&fs::File::open(&path).unwrap()).unwrap();
    assert_eq!(path.metadata().unwrap().modified().unwrap(), written);
    folder.prune(limits(100, 30), &HashSet::new(), now).unwrap();
    assert_eq!(left(&folder, &[20, 10]), [20]);
}

#[test]
fn old_unfinished_entries_go_and_files_of_others_stay() {
    let (home, folder, now) = folder(&[1]);
    for (name, used) in [(".tmpOld", now - 2 * ABANDONED), (".tmpNew", now), ("notes.bin", now - 100 * DAY)] {
        write(&home.path().join(name), used);
    }
    assert_eq!(folder.contents().unwrap().entries, 1);
    folder.prune(limits(u64::MAX, 30), &HashSet::new(), now).unwrap();
    let exists = |name: &str| home.path().join(name).exists();
    assert_eq!((exists(".tmpOld"), exists(".tmpNew"), exists("notes.bin")), (false, true, true));
    let cleared = folder.clear().unwrap();
    assert_eq!((cleared.entries, cleared.bytes), (1, 100));
    assert_eq!((exists(".tmpNew"), exists("notes.bin"), exists(&entry(1))), (true, true, false));
}

#[test]
fn the_contents_are_counted_with_their_oldest_use() {
    let (_home, folder, now) = folder(&[5, 7, 6]);
    let contents = folder.contents().unwrap();
    assert_eq!((contents.entries, contents.bytes), (3, 300));
    let oldest = now.duration_since(contents.oldest_use.unwrap()).unwrap();
    assert_eq!(oldest.as_secs() / DAY.as_secs(), 7);
}

#[test]
fn a_folder_that_is_not_there_is_empty() {
    let home = tempfile::tempdir().unwrap();
    let folder = CacheFolder::new(home.path().join("none"));
    assert_eq!(folder.contents().unwrap(), CacheContents::default());
    assert_eq!(folder.clear().unwrap(), CacheContents::default());
    assert!(!folder.path().exists());
}

//! Tests of the stores outside a host, which run the same code above the bindings as in a host.

use super::*;
use crate::{Error, ErrorKind};

fn open(name: &str) -> Store {
    Store::open(name).unwrap()
}

fn message<T: Debug>(result: Result<T, StoreError>) -> String {
    result.unwrap_err().message()
}

#[test]
fn a_value_is_set_read_and_deleted() {
    let store = open("a");
    assert_eq!((store.name(), store.get("key").unwrap()), ("a", None));
    store.set("key", "first").unwrap();
    store.set("key", b"second").unwrap();
    assert_eq!(store.get("key").unwrap().unwrap(), b"second");
    assert!(store.exists("key").unwrap());
    store.delete("key").unwrap();
    store.delete("key").unwrap();
    assert!(!store.exists("key").unwrap());
}

#[test]
fn a_store_is_the_same_for_all_who_open_its_name() {
    open("a").set("key", "value").unwrap();
    assert_eq!(open("a").get("key").unwrap().unwrap(), b"value");
    assert_eq!(open("b").get("key").unwrap(), None);
}

#[test]
fn each_thread_has_stores_of_its_own() {
    open("a").set("key", "value").unwrap();
    let elsewhere = std::thread::spawn(|| open("a").get("key").unwrap()).join().unwrap();
    assert_eq!(elsewhere, None);
}

#[test]
fn keys_come_from_all_pages() {
    let store = open("a");
    for thousand in 0..3 {
        store.set_many((0..1000).map(|number| (format!("{thousand}-{number}"), "x"))).unwrap();
    }
    store.set("last", "x").unwrap();
    let mut keys: Vec<_> = store.keys().collect::<Result<_, _>>().unwrap();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3001);
    assert_eq!(open("empty").keys().count(), 0);
}

#[test]
fn an_increment_counts_from_zero_and_refuses_what_is_no_number() {
    let store = open("a");
    assert_eq!(store.increment("count", 5).unwrap(), 5);
    assert_eq!(store.increment("count", -7).unwrap(), -2);
    assert_eq!(store.get("count").unwrap().unwrap(), b"-2");
    for text in ["07", "+7", " 7", "seven", "9223372036854775808"] {
        store.set("count", text).unwrap();
        assert!(message(store.increment("count", 1)).contains("not a number"), "{text}");
    }
    store.set("count", i64::MAX.to_string()).unwrap();
    assert!(message(store.increment("count", 1)).contains("does not fit in 64 bits"));
}

#[test]
fn json_that_does_not_fit_names_the_store_the_key_and_the_place() {
    let store = open("sessions");
    assert_eq!(store.get_json::<u32>("ada").unwrap(), None);
    store.set_json("ada", &["x"]).unwrap();
    assert_eq!(store.get_json::<Vec<String>>("ada").unwrap().unwrap(), ["x"]);
    let error = store.get_json::<Vec<u32>>("ada").unwrap_err();
    let text = error.message();
    assert!(text.starts_with("the value of `ada` in the store `sessions` does not fit: "), "{text}");
    assert!(text.contains("expected u32"), "{text}");
    assert_eq!(Error::from(error).kind(), ErrorKind::Internal);
}

#[test]
fn an_update_begins_anew_when_somebody_else_writes() {
    let store = open("a");
    store.set("list", "a").unwrap();
    let mut seen = Vec::new();
    let updated = store.update("list", |value| {
        let value = value.unwrap();
        if seen.is_empty() {
            store.set("list", "b").unwrap();
        }
        seen.push(value.clone());
        [&value[..], b"!"].concat()
    });
    assert_eq!(updated.unwrap(), b"b!");
    assert_eq!(seen, [b"a", b"b"]);
    assert_eq!(store.get("list").unwrap().unwrap(), b"b!");
}

#[test]
fn an_update_makes_a_key_that_is_absent() {
    let store = open("a");
    assert_eq!(store.update("key", |value| format!("{value:?}").into_bytes()).unwrap(), b"None");
    // Absent and empty are not the same.
    store.set("key", "").unwrap();
    assert_eq!(store.update("key", |value| format!("{value:?}").into_bytes()).unwrap(), b"Some([])");
}

#[test]
fn an_update_gives_up_when_somebody_else_always_writes() {
    let store = open("a");
    let mut count = 0_i64;
    let error = store
        .update("busy", |_| {
            count = store.increment("busy", 1).unwrap();
            Vec::new()
        })
        .unwrap_err();
    assert_eq!(count, i64::from(UPDATE_ATTEMPTS));
    assert_eq!(store.get("busy").unwrap().unwrap(), b"100", "the value of the others stays");
    let error = Error::from(error);
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.message(), "`busy` in the store `a` was changed before each of 100 attempts to change it");
}

#[test]
fn a_batch_keeps_its_order_and_has_a_limit() {
    let store = open("a");
    store.set_many([("x", "1"), ("y", "2"), ("x", "3")]).unwrap();
    assert_eq!(
        store.get_many(["y", "none", "x", "y"]).unwrap(),
        [Some(b"2".to_vec()), None, Some(b"3".to_vec()), Some(b"2".to_vec())]
    );
    store.delete_many(["x", "none"]).unwrap();
    assert_eq!(store.keys().map(Result::unwrap).collect::<Vec<_>>(), ["y"]);
    let many = || (0..1001).map(|number| number.to_string());
    assert!(message(store.get_many(many())).contains("a batch has 1001 keys"));
    assert!(message(store.set_many(many().map(|key| (key, "")))).contains("a batch has 1001 keys"));
    assert!(message(store.delete_many(many())).contains("a batch has 1001 keys"));
    assert!(store.get_many(Vec::<String>::new()).unwrap().is_empty());
}

#[test]
fn a_key_that_is_empty_or_too_long_is_refused_by_every_operation() {
    let store = open("a");
    for key in [String::new(), "k".repeat(1025)] {
        let key = key.as_str();
        let refused = [
            message(store.get(key)),
            message(store.set(key, "")),
            message(store.delete(key)),
            message(store.exists(key)),
            message(store.increment(key, 1)),
            message(store.update(key, |_| Vec::new())),
            message(store.get_many([key])),
            message(store.set_many([(key, "")])),
            message(store.delete_many([key])),
        ];
        for text in refused {
            assert_eq!(text, format!("the store `a` fails: a key has {} bytes, and needs 1 to 1024", key.len()));
        }
    }
    store.set(&"k".repeat(1024), "").unwrap();
}

#[test]
fn an_error_says_what_chain_toml_lacks_and_keeps_its_kind() {
    let missing = StoreError::NoSuchStore { store: "sessions".to_owned() };
    let text = missing.message();
    assert!(text.starts_with("there is no store `sessions` for this chainlet; add it to `stores` in `[chainlets."));
    assert!(text.ends_with("]` in chain.toml"), "{text}");
    assert_eq!(Error::from(missing).kind(), ErrorKind::Internal);
    let denied = StoreError::AccessDenied { store: "sessions".to_owned() };
    assert!(denied.message().contains("`sessions`") && denied.message().contains("`stores`"), "{}", denied.message());
    let full = "the store \"sessions\" is full: delete keys, or raise stores.sessions.limit";
    for (store, text) in [("sessions", full.to_owned()), ("default", format!("the store `default` fails: {full}"))] {
        let error = Error::from(StoreError::Other { store: store.to_owned(), reason: full.to_owned() });
        assert_eq!((error.kind(), error.message()), (ErrorKind::Upstream, &*text));
    }
}

//! Stores in chain.toml: each mistake has its message, its place and a remedy.

use super::{MEMORY, chain, text};
use crate::harness::{Chain, FAULTY};

/// Asserts that `check` refuses a chain whose store has the keys `store`. The message names the key `place` and
/// contains `words`.
#[track_caller]
fn refuses(store: &str, place: &str, words: &[&str]) {
    let finished = chain(store, "").run(&["check", "chain.toml"]);
    finished.refused(3, &["error: chain.toml:", &format!("stores.sessions{place}: "), "\nhelp: "]);
    finished.refused(3, words);
}

#[test]
fn a_type_that_is_missing_or_unknown_is_refused() {
    refuses("limit = \"1MiB\"", ".type", &["the key type is missing"]);
    refuses("type = \"sqlite\"", ".type", &["\"memory\", \"file\" or \"redis\"", "sqlite"]);
}

#[test]
fn keys_of_another_type_are_refused() {
    refuses("type = \"memory\"\npath = \"x\"", ".path", &["unknown key path"]);
    refuses("type = \"file\"\npath = \"x\"\nurl = \"redis://localhost\"", ".url", &["unknown key url"]);
    refuses("type = \"memory\"\nttl = \"1h\"", ".ttl", &["entries do not expire"]);
}

#[test]
fn a_file_without_a_path_is_refused() {
    refuses("type = \"file\"", ".path", &["the key path is missing", "path = \"data/sessions.redb\""]);
    refuses("type = \"file\"\npath = \"\"", ".path", &["expected a path, found an empty text"]);
}

#[test]
fn a_redis_store_needs_exactly_one_url_without_a_password() {
    let store = |keys: &str| format!("type = \"redis\"\n{keys}");
    refuses(&store(""), ".url", &["needs the URL of its server", "add url, or url_secret"]);
    let both = "url = \"redis://localhost\"\nurl_secret = \"redis_url\"";
    refuses(&store(both), ".url", &["expected either url or url_secret, found both"]);
    for url in ["redis://:hunter2@localhost", "rediss://ada:hunter2@localhost/1"] {
        refuses(&store(&format!("url = \"{url}\"")), ".url", &["the URL has a password", "name it by url_secret"]);
    }
}

#[test]
fn two_stores_in_one_file_are_refused() {
    let stores = "type = \"file\"\npath = \"data.redb\"\n[stores.prices]\ntype = \"file\"\npath = \"data.redb\"";
    let finished = chain(stores, "").run(&["check", "chain.toml"]);
    let message = "stores.prices.path: expected a file of its own, found that of the store sessions";
    finished.refused(3, &[message, "choose another file, or use one store"]);
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    let store = |keys: &str| format!("{MEMORY}\n{keys}");
    refuses(&store("limit = \"1KiB\""), ".limit", &["expected at least value_limit = 1MiB, found 1KiB", "raise it"]);
    refuses(&store("value_limit = \"19B\""), ".value_limit", &["expected from 20B to 64MiB, found 19B"]);
    refuses(
        &store("limit = \"1GiB\"\nvalue_limit = \"65MiB\""),
        ".value_limit",
        &["expected from 20B to 64MiB, found 65MiB"],
    );
    refuses(&store("timeout = \"0s\""), ".timeout", &["expected more than 0s and at most 1m, found 0s"]);
    refuses(&store("timeout = \"61s\""), ".timeout", &["expected more than 0s and at most 1m, found 1m 1s"]);
}

#[test]
fn a_chainlet_with_an_unknown_store_is_refused() {
    let of = |stores: &str| text(MEMORY, "").replace("stores = [\"sessions\"]", &format!("stores = {stores}"));
    for (stores, place) in [("[\"prices\"]", "[0]"), ("{ default = \"prices\" }", ".default")] {
        let finished = Chain::new(&of(stores)).run(&["check", "chain.toml"]);
        let message = format!("chainlets.keeper.stores{place}: expected a store of this chain, found \"prices\"");
        finished.refused(3, &[&message, "add [stores.prices], or name one of: sessions"]);
    }
}

#[test]
fn a_component_that_imports_a_store_and_has_none_is_refused() {
    for stores in ["", "stores = []\n"] {
        let chain = Chain::new(&text(MEMORY, "").replace("stores = [\"sessions\"]\n", stores));
        for command in ["check", "serve"] {
            chain.run(&[command, "chain.toml"]).refused(
                3,
                &[
                    "chainlets.keeper: the component imports wasi:keyvalue/",
                    "and chain.toml gives keeper no store",
                    "write `stores = [\"NAME\"]`, with [stores.NAME] and type = \"memory\" in it",
                ],
            );
        }
    }
}

#[test]
fn a_component_that_imports_no_store_may_have_one() {
    let chain = Chain::new(&format!("[stores.sessions]\n{MEMORY}\n{FAULTY}stores = [\"sessions\"]\n"));
    chain.run(&["check", "chain.toml"]).answer();
}

#[test]
fn a_check_shows_the_stores_of_each_chainlet() {
    let stores = format!(
        "{MEMORY}\nlimit = \"2MiB\"\n[stores.prices]\ntype = \"redis\"\nurl = \"redis://ada@localhost:6379/1\"\n"
    );
    let text = text(&stores, "").replace("[\"sessions\"]", "{ sessions = \"sessions\", default = \"prices\" }");
    let finished = Chain::new(&text).run(&["check", "chain.toml"]);
    for row in ["sessions in memory, at most 2MiB\n", "prices (as default) in Redis\n"] {
        assert!(finished.answer().contains(row), "{}", finished.stdout);
    }
}

//! Logs each refusal of the sandbox, with the key of chain.toml that would allow it.
//!
//! The log tells of each thing once for a chainlet, and of [`TOLD`] things of a kind: a guest makes them up as it likes.
//!
//! The capabilities that refuse something call [`Refusals::tell`]. wasmtime-wasi itself refuses sockets, lookups of names,
//! and files; so `sockets/refused.rs` and `files/refused.rs` put functions in front of those of wasmtime-wasi, which do
//! the same work and report what was refused.
//!
//! A path that is in none of the given folders is refused in the guest: its libc finds no folder to ask the host for.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::config::ChainletName;
use crate::guest_words::clip;

/// Of how many things of a kind the log tells.
const TOLD: usize = 16;
/// The longest name of a thing that is told whole, in bytes.
const NAME: usize = 256;

/// Logs what the sandbox refuses to the guests of one chainlet.
pub(super) struct Refusals {
    chainlet: ChainletName,
    /// The names of the things that the log has told of, by their kind.
    told: [Mutex<BTreeSet<String>>; Kind::COUNT],
}

/// The kinds of things that are refused.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A host to which a request was to go.
    Host,
    /// A socket, or an address for it.
    Socket,
    /// A name that was to be looked up.
    Lookup,
    /// A file or a folder.
    File,
}

impl Kind {
    const COUNT: usize = 4;

    /// The key of the chainlet in chain.toml that says what of this kind is allowed.
    fn key(self) -> &'static str {
        match self {
            Kind::Host => "network.hosts",
            Kind::Socket | Kind::Lookup => "network.sockets",
            Kind::File => "assets.files",
        }
    }
}

impl Refusals {
    pub(super) fn new(chainlet: &ChainletName) -> Self {
        Refusals { chainlet: chainlet.clone(), told: Default::default() }
    }

    /// Tells that `name` was refused, in the words of `what`, unless that has been told.
    pub(super) fn tell(&self, kind: Kind, name: &str, what: impl FnOnce(&str) -> String) {
        let Some(told) = self.told.get(kind as usize) else { return };
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD {
            return;
        }
        let name = clip(name.to_owned(), NAME);
        if !told.contains(&name) {
            let (chainlet, key) = (&self.chainlet, kind.key());
            let said = what(&name);
            tracing::warn!(%chainlet, limit = %format_args!("chainlets.{chainlet}.{key}"), "{said}");
            told.insert(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn each_thing_is_told_once_and_so_many_of_each_kind() {
        let refusals = Refusals::new(&ChainletName::new("say-hello").unwrap());
        let told = Cell::new(0);
        let tell = |kind, name: &str| {
            refusals.tell(kind, name, |name| {
                told.set(told.get() + 1);
                name.to_owned()
            });
        };
        (0..3).for_each(|_| tell(Kind::Host, "example.com"));
        assert_eq!(told.get(), 1);
        (0..100).for_each(|number| tell(Kind::Host, &number.to_string()));
        assert_eq!(told.get(), TOLD);
        tell(Kind::File, "example.com");
        assert_eq!(told.get(), TOLD + 1, "each kind has a number of its own");
    }

    #[test]
    fn a_long_name_is_told_as_far_as_its_beginning() {
        let refusals = Refusals::new(&ChainletName::new("say-hello").unwrap());
        refusals.tell(Kind::File, &"x".repeat(10_000), |name| {
            assert!(name.len() < 2 * NAME);
            String::new()
        });
    }
}

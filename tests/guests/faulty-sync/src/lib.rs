//! Does the same as `faulty`, through a plain `func`, which serves one call at a time and cannot wait for others.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU32, Ordering};

use chainlet::context;
use guest_faults::Outcome;

/// The number of calls of `init`. It is outside the struct, because a second `init` would make a new struct.
static INITS: AtomicU32 = AtomicU32::new(0);

#[derive(Default)]
struct FaultySync {
    calls: Cell<u32>,
    sick: RefCell<Option<String>>,
}

#[chainlet::chainlet]
impl FaultySync {
    /// Does the setting `init` first, with the words of `run-remote`.
    fn init() -> chainlet::Result<Self> {
        INITS.fetch_add(1, Ordering::Relaxed);
        let faulty = FaultySync::default();
        if let Some(what) = context::optional_setting::<String>("init")? {
            faulty.act(&what)?;
        }
        Ok(faulty)
    }

    fn run_remote(&self, what: String) -> chainlet::Result<String> {
        self.calls.set(self.calls.get() + 1);
        self.act(&what)
    }

    async fn is_healthy(&self) -> Result<(), String> {
        self.sick.borrow().clone().map_or(Ok(()), Err)
    }

    fn act(&self, what: &str) -> chainlet::Result<String> {
        let (word, argument) = what.split_once(':').unwrap_or((what, ""));
        match word {
            "calls" => Ok(self.calls.get().to_string()),
            "inits" => Ok(INITS.load(Ordering::Relaxed).to_string()),
            "sicken" => {
                *self.sick.borrow_mut() = Some(argument.to_owned());
                Ok(format!("did {what}"))
            }
            _ => match guest_faults::act(word, argument)? {
                Outcome::Said(answer) => Ok(answer),
                Outcome::Did => Ok(format!("did {what}")),
                Outcome::Unknown => Err(format!("faulty-sync cannot `{word}`").into()),
            },
        }
    }
}

//! Traps, panics, spins, sleeps, takes memory or misbehaves in other ways, on request; see its WIT.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chainlet::{context, time};
use futures::channel::oneshot;
use guest_faults::{Outcome, allocate, number};

/// The number of calls of `init`. It is outside the struct, because a second `init` would make a new struct.
static INITS: AtomicU32 = AtomicU32::new(0);

#[derive(Default)]
struct Faulty {
    calls: Cell<u32>,
    running: Cell<u32>,
    peak: Cell<u32>,
    sick: RefCell<Option<String>>,
    ails: RefCell<Option<String>>,
    kept: RefCell<Vec<Vec<u8>>>,
    held: RefCell<Vec<oneshot::Sender<()>>>,
}

/// A call in the instance, until it is dropped.
struct Running<'a>(&'a Faulty);

impl<'a> Running<'a> {
    fn new(faulty: &'a Faulty) -> Self {
        faulty.calls.set(faulty.calls.get() + 1);
        faulty.running.set(faulty.running.get() + 1);
        faulty.peak.set(faulty.peak.get().max(faulty.running.get()));
        Running(faulty)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
    }
}

#[chainlet::chainlet]
impl Faulty {
    /// Does the setting `init` first, with the words of `run-remote`.
    async fn init() -> chainlet::Result<Self> {
        INITS.fetch_add(1, Ordering::Relaxed);
        let faulty = Faulty::default();
        if let Some(what) = context::optional_setting::<String>("init")? {
            faulty.act(&what).await?;
        }
        Ok(faulty)
    }

    async fn run_remote(&self, what: String) -> chainlet::Result<String> {
        let _running = Running::new(self);
        self.act(&what).await
    }

    async fn is_healthy(&self) -> Result<(), String> {
        if let Some(path) = &*self.ails.borrow()
            && std::fs::exists(path).unwrap_or(true)
        {
            return Err(format!("it ails from {path}"));
        }
        self.sick.borrow().clone().map_or(Ok(()), Err)
    }

    async fn act(&self, what: &str) -> chainlet::Result<String> {
        let (word, argument) = what.split_once(':').unwrap_or((what, ""));
        match word {
            "sleep" => {
                time::sleep(Duration::from_millis(number(argument)?)).await;
            }
            "forever" => std::future::pending().await,
            "hold" => {
                let (release, released) = oneshot::channel();
                self.held.borrow_mut().push(release);
                released.await?;
            }
            "held" => return Ok(self.held.borrow().len().to_string()),
            "release" => {
                // A call that was cancelled meanwhile cannot be released.
                let held = self.held.take().into_iter();
                return Ok(held.filter_map(|call| call.send(()).ok()).count().to_string());
            }
            "keep" => {
                let wanted = number(argument)?;
                let blocks = allocate(wanted);
                if blocks.len() < wanted {
                    return Err(format!("refused after {} MiB", blocks.len()).into());
                }
                self.kept.borrow_mut().extend(blocks);
            }
            "calls" => return Ok(self.calls.get().to_string()),
            "running" => return Ok(self.running.get().to_string()),
            "peak" => return Ok(self.peak.get().to_string()),
            "inits" => return Ok(INITS.load(Ordering::Relaxed).to_string()),
            "sicken" => *self.sick.borrow_mut() = Some(argument.to_owned()),
            "ail" => *self.ails.borrow_mut() = Some(argument.to_owned()),
            "heal" => *self.sick.borrow_mut() = None,
            _ => match guest_faults::act(word, argument)? {
                Outcome::Said(answer) => return Ok(answer),
                Outcome::Did => {}
                Outcome::Unknown => return Err(format!("faulty cannot `{word}`").into()),
            },
        }
        Ok(format!("did {what}"))
    }
}

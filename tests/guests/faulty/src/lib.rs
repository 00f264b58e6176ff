//! Traps, panics, spins, sleeps, hoards memory or otherwise misbehaves, as it is told; see its WIT.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chainlet::{Context, context};
use futures::channel::oneshot;
use wit::bindings::wasi::clocks::monotonic_clock;

/// Counts outside the struct, which cannot see a second `init`.
static INITS: AtomicU32 = AtomicU32::new(0);

const MIB: usize = 1024 * 1024;

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

/// One call that is in the instance, until it is dropped.
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
    /// Does what the setting `init` says first, in the words of `run-remote`.
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
            "echo" => return Ok(argument.to_owned()),
            "err" => return Err(argument.into()),
            "trap" => trap(),
            #[expect(clippy::panic, reason = "this is what is tested")]
            "panic" => panic!("{argument}"),
            "exit" => std::process::exit(number(argument)?),
            "spin" if argument.is_empty() => spin(None),
            "spin" => spin(Some(Duration::from_millis(number(argument)?))),
            "count" => return Ok(count(Duration::from_millis(number(argument)?)).to_string()),
            "trap-once" => {
                if !std::fs::exists(argument)? {
                    std::fs::write(argument, "trapped\n").context(argument)?;
                    trap();
                }
            }
            "sleep" => {
                let wait = Duration::from_millis(number(argument)?);
                monotonic_clock::wait_for(u64::try_from(wait.as_nanos())?).await;
            }
            "hold" => {
                let (release, released) = oneshot::channel();
                self.held.borrow_mut().push(release);
                released.await?;
            }
            "held" => return Ok(self.held.borrow().len().to_string()),
            "release" => {
                // A call that was cancelled meanwhile is not there to be released.
                let held = self.held.take().into_iter();
                return Ok(held.filter_map(|call| call.send(()).ok()).count().to_string());
            }
            "block" => std::thread::sleep(Duration::from_millis(number(argument)?)),
            "allocate" if argument.is_empty() => return Ok(allocate(usize::MAX).len().to_string()),
            "allocate" => return Ok(allocate(number(argument)?).len().to_string()),
            "hoard" => hoard(),
            "keep" => {
                let wanted = number(argument)?;
                let blocks = allocate(wanted);
                if blocks.len() < wanted {
                    return Err(format!("refused after {} MiB", blocks.len()).into());
                }
                self.kept.borrow_mut().extend(blocks);
            }
            "print" => (1..=number(argument)?).for_each(|line: u32| println!("line {line}")),
            "complain" => (1..=number(argument)?).for_each(|line: u32| eprintln!("line {line}")),
            "calls" => return Ok(self.calls.get().to_string()),
            "peak" => return Ok(self.peak.get().to_string()),
            "inits" => return Ok(INITS.load(Ordering::Relaxed).to_string()),
            "who" => {
                let context::Deployment { chain, chainlet, replica, environment } = context::deployment();
                return Ok(format!("{chain}/{chainlet}/{replica}/{environment}"));
            }
            "setting" => return Ok(context::setting::<serde_json::Value>(argument)?.to_string()),
            "settings" => return Ok(context::setting_names().join(",")),
            "secret" => return Ok(context::secret(argument)?.expose().to_owned()),
            "secrets" => return Ok(context::secret_names().join(",")),
            "read" => return std::fs::read_to_string(argument).context(argument),
            "write" => std::fs::write(argument, "written by faulty\n").context(argument)?,
            "env" => {
                let names: Vec<_> = std::env::vars().map(|(name, _)| name).collect();
                return Ok(names.join(","));
            }
            "sicken" => *self.sick.borrow_mut() = Some(argument.to_owned()),
            "ail" => *self.ails.borrow_mut() = Some(argument.to_owned()),
            "heal" => *self.sick.borrow_mut() = None,
            _ => return Err(format!("faulty cannot `{word}`").into()),
        }
        Ok(format!("did {what}"))
    }
}

fn number<T: std::str::FromStr>(text: &str) -> chainlet::Result<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().context(format!("`{text}` is no number"))
}

fn trap() -> ! {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort()
}

/// Keeps the processor busy, for ever or for some time.
fn spin(time: Option<Duration>) {
    let start = Instant::now();
    while time.is_none_or(|time| start.elapsed() < time) {
        // Ten million rounds to a look at the clock, which is a call to the host.
        for round in 0..10_000_000_u32 {
            std::hint::black_box(round);
        }
    }
}

/// How many rounds of work it gets done in some time.
fn count(time: Duration) -> u64 {
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < time {
        for round in 0..10_000_u32 {
            std::hint::black_box(round);
        }
        rounds += 1;
    }
    rounds
}

/// Takes memory in blocks of a MiB, up to `wanted` or until it is refused.
fn allocate(wanted: usize) -> Vec<Vec<u8>> {
    let mut blocks = Vec::new();
    while blocks.len() < wanted {
        let mut block = Vec::new();
        if block.try_reserve_exact(MIB).is_err() {
            break;
        }
        block.resize(MIB, 1);
        blocks.push(block);
    }
    blocks
}

fn hoard() {
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    loop {
        blocks.push(std::hint::black_box(vec![1; MIB]));
    }
}

//! A session in a process of its own. The host can kill it, which ends work that the driver does not end by itself.
//!
//! The worker is this program again, with a socket as its standard input ([`serve`] is its side). It gets no secrets:
//! of the host's environment it has only the variables that drivers look for.

mod frames;
mod serve;

use std::collections::HashMap;
use std::io::{self, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command as Program, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use self::frames::{Ask, Request, Tell};
pub(super) use self::serve::run;
use super::adapters::AdapterFacts;
use super::operation::{Bulk, GpuOperation, GpuReply, ReadCallback};
use super::protocol::{DeviceId, Events, GpuFailure, GpuFailureKind, Result};
use crate::config::ByteSize;

/// The first argument of a worker.
pub(super) const ARGUMENT: &str = "chainhost-gpu-worker";

/// The prefixes of the environment variables that configure drivers and their loaders.
const ENVIRONMENT: [&str; 15] = [
    "PATH",
    "HOME",
    "LANG",
    "LD_LIBRARY_PATH",
    "XDG_",
    "VK_",
    "MESA_",
    "NODEVICE_SELECT",
    "LP_",
    "GALLIUM_",
    "LIBGL_",
    "DRI_",
    "NVIDIA_",
    "__GL_",
    "CUDA_VISIBLE_DEVICES",
];
/// The longest time in which the host's first worker must list the adapters. It may have to load drivers from a cold
/// disk.
const LISTING: Duration = Duration::from_secs(60);
/// The time that a new worker has to find its adapter, or the chainlet's timeout if that is longer.
const STARTING: Duration = Duration::from_secs(10);
/// A worker that takes no write for this many times the chainlet's timeout counts as stuck. Its work before the write,
/// a submission or a shader, takes the timeout at most.
const PATIENCE: u32 = 4;

/// A running worker.
pub(super) struct Worker {
    child: Arc<Mutex<Child>>,
    /// Requests to send. A thread writes them, so that a worker that does not read blocks nobody.
    outbox: mpsc::Sender<(Request, Vec<u8>)>,
    next: AtomicU64,
    /// The longest time of a submission.
    limit: Duration,
    shared: Arc<Shared>,
}

struct Shared {
    events: Arc<dyn Events>,
    waiting: Mutex<Waiting>,
    ended: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    answers: HashMap<u64, oneshot::Sender<Result<GpuReply>>>,
    reads: HashMap<u64, ReadCallback>,
    devices: Vec<DeviceId>,
}

/// Returns the adapters that a worker of `program` finds.
pub(super) fn adapters(program: &Path) -> io::Result<Vec<AdapterFacts>> {
    let (mut child, stream) = spawn(program)?;
    stream.set_read_timeout(Some(LISTING))?;
    let asked = frames::write(&stream, &Request { number: 0, ask: Ask::Adapters }, &[]);
    let answer = asked.and_then(|()| frames::read::<Tell>(&stream));
    end(&mut child);
    match answer? {
        Some((Tell::Adapters(adapters), _)) => Ok(adapters),
        _ => Err(io::Error::other("it ended without an answer")),
    }
}

fn spawn(program: &Path) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let environment = std::env::vars_os().filter(|(name, _)| {
        name.to_str().is_some_and(|name| ENVIRONMENT.iter().any(|beginning| name.starts_with(beginning)))
    });
    let child = Program::new(program)
        .arg(ARGUMENT)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()?;
    Ok((child, ours))
}

/// Ends a worker and all its work.
fn end(child: &mut Child) {
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        tracing::error!(%error, "a GPU worker could not be ended");
    }
}

impl Worker {
    /// Starts a worker for the adapter `index`, with at most `memory` of buffers. Each submission may take `limit`.
    pub(super) async fn start(
        program: &Path,
        index: usize,
        memory: ByteSize,
        limit: Duration,
        events: Arc<dyn Events>,
    ) -> Result<Arc<Self>> {
        let failed =
            |error: io::Error| GpuFailure::lost(format_args!("the GPU's worker process does not start: {error}"));
        let (child, stream) = spawn(program).map_err(failed)?;
        let (outbox, sent) = mpsc::channel::<(Request, Vec<u8>)>();
        let shared = Arc::new(Shared { events, waiting: Mutex::default(), ended: AtomicBool::new(false) });
        let writing = stream.try_clone().map_err(failed)?;
        let writer = std::thread::Builder::new().name("gpu-outbox".into()).spawn(move || {
            for (request, bulk) in sent {
                // The worker is gone, which the reader notices, too.
                if frames::write(&writing, &request, &bulk).is_err() {
                    return;
                }
            }
        });
        let child = Arc::new(Mutex::new(child));
        let reader = std::thread::Builder::new().name("gpu-inbox".into()).spawn({
            let (shared, child) = (shared.clone(), child.clone());
            move || {
                shared.listen(stream);
                end(&mut child.lock().unwrap_or_else(PoisonError::into_inner));
            }
        });
        let worker = Arc::new(Worker { child, outbox, next: AtomicU64::new(1), limit, shared });
        writer.and(reader).map_err(failed)?;
        let asked = worker.ask(Ask::Adapter { index, memory: memory.as_bytes() }, Vec::new(), None);
        match timeout(STARTING.max(limit), asked).await {
            Ok(answer) => answer.map(|_| worker),
            Err(_) => {
                Err(GpuFailure::new(GpuFailureKind::Timeout, "the GPU's worker process does not find its adapter"))
            }
        }
    }

    /// Returns true if the worker has ended and another one is needed.
    pub(super) fn has_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }

    /// Ends the worker with all its devices.
    pub(super) fn kill(&self) {
        kill(&self.child, &self.shared);
    }

    /// Does `operation`. Before this returns, the operation is on its way, with a copy of its data.
    pub(super) fn execute(
        &self,
        device: DeviceId,
        operation: GpuOperation,
        bulk: Bulk<'_>,
    ) -> impl Future<Output = Result<GpuReply>> + Send + use<> {
        if matches!(operation, GpuOperation::Open(_)) {
            self.shared.waiting().devices.push(device);
        }
        let (data, read, patience) = match bulk {
            Bulk::None => (Vec::new(), None, None),
            // A write has no other deadline.
            Bulk::ToGpu(data) => (data.into_owned(), None, Some(self.limit.saturating_mul(PATIENCE))),
            Bulk::FromGpu(read) => (Vec::new(), Some(read), None),
        };
        let ask = Ask::Operation { device, operation, reads: read.is_some() };
        let answer = self.ask(ask, data, read);
        let (child, shared) = (self.child.clone(), self.shared.clone());
        async move {
            let Some(limit) = patience else { return answer.await };
            timeout(limit, answer).await.unwrap_or_else(|_| {
                kill(&child, &shared);
                Err(GpuFailure::lost(format_args!(
                    "the GPU's worker process has taken nothing for {}",
                    humantime::format_duration(limit)
                )))
            })
        }
    }

    /// Sends an operation that gets no answer.
    pub(super) fn send(&self, device: DeviceId, operation: GpuOperation) {
        let ask = Ask::Operation { device, operation, reads: false };
        // This fails only if the worker has ended, which freed everything that the operation is about.
        let _ = self.outbox.send((Request { number: 0, ask }, Vec::new()));
    }

    fn ask(
        &self,
        ask: Ask,
        bulk: Vec<u8>,
        read: Option<ReadCallback>,
    ) -> impl Future<Output = Result<GpuReply>> + Send + use<> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        {
            // Inserted before `has_ended` is read: `listen` sets `ended` before it takes all senders, so no sender
            // stays behind.
            let mut waiting = self.shared.waiting();
            waiting.answers.insert(number, sender);
            waiting.reads.extend(read.map(|read| (number, read)));
        }
        // If the request is not sent, or the worker ends, the sender is dropped.
        if self.has_ended() || self.outbox.send((Request { number, ask }, bulk)).is_err() {
            let unsent = {
                let mut waiting = self.shared.waiting();
                (waiting.answers.remove(&number), waiting.reads.remove(&number))
            };
            drop(unsent);
        }
        async move { receiver.await.unwrap_or_else(|_| Err(ended())) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn kill(child: &Mutex<Child>, shared: &Shared) {
    // From now on, nobody sends requests to it.
    shared.ended.store(true, Ordering::Release);
    // If another thread holds the lock, it is ending the worker.
    if let Ok(mut child) = child.try_lock()
        && let Err(error) = child.kill()
    {
        tracing::error!(%error, "a GPU worker could not be ended");
    }
}

fn ended() -> GpuFailure {
    GpuFailure::lost("the GPU's worker process has ended")
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes on the worker's messages until it ends.
    fn listen(&self, stream: UnixStream) {
        let mut from = BufReader::new(stream);
        loop {
            match frames::read(&mut from) {
                Ok(Some((tell, bulk))) => self.told(tell, bulk),
                Ok(None) => break,
                Err(error) => {
                    // A worker that was killed may leave a frame unfinished.
                    if !self.ended.load(Ordering::Acquire) && error.kind() == io::ErrorKind::InvalidData {
                        tracing::error!(%error, "a GPU worker could not be understood");
                    }
                    break;
                }
            }
        }
        self.ended.store(true, Ordering::Release);
        let Waiting { answers, reads, devices } = std::mem::take(&mut *self.waiting());
        for device in devices {
            self.events.lost(device, ended());
            self.events.closed(device);
        }
        drop(answers);
        reads.into_values().for_each(|done| done(Err(ended())));
    }

    fn told(&self, tell: Tell, bulk: Vec<u8>) {
        match tell {
            Tell::Answer(number, answer) => {
                let (waiting, refused) = {
                    let mut waiting = self.waiting();
                    // A rejected read gets no `Tell::Read`, and its caller may no longer wait to remove the callback.
                    let refused = answer.is_err().then(|| waiting.reads.remove(&number)).flatten();
                    (waiting.answers.remove(&number), refused)
                };
                drop(refused);
                // This fails if the caller no longer waits.
                let _ = waiting.map(|waiting| waiting.send(answer));
            }
            Tell::Read(number, result) => {
                let done = self.waiting().reads.remove(&number);
                if let Some(done) = done {
                    done(result.map(|()| bulk.into()));
                }
            }
            // Only `adapters` asks for them, of a worker of its own.
            Tell::Adapters(_) => {}
            Tell::Completed(device, number) => self.events.completed(device, number),
            Tell::Timed(device, time) => self.events.timed(device, time),
            Tell::Lost(device, why) => self.events.lost(device, why),
            Tell::Compiled => self.events.compiled(bulk),
            Tell::Closed(device) => {
                self.waiting().devices.retain(|open| *open != device);
                self.events.closed(device);
            }
        }
    }
}

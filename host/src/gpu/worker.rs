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

use self::frames::{Ask, Request, Tell, WorkerReply};
pub(super) use self::serve::run;
use super::adapters::AdapterFacts;
use super::protocol::{
    BufferPosition, Create, DeviceDescriptor, DeviceFacts, DeviceId, Events, GpuCommand, GpuFailure, GpuFailureKind,
    ObjectId, Result,
};
use super::session::ReadCallback;
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
    answers: HashMap<u64, oneshot::Sender<Result<WorkerReply>>>,
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
        Some((Tell::Answer(_, Ok(WorkerReply::Adapters(adapters))), _)) => Ok(adapters),
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
        let asked = worker.ask(Ask::Adapter { index, memory: memory.as_bytes() }, Vec::new());
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

    pub(super) async fn open(&self, id: DeviceId, descriptor: DeviceDescriptor) -> Result<DeviceFacts> {
        self.shared.waiting().devices.push(id);
        match self.ask(Ask::Open(id, Box::new(descriptor)), Vec::new()).await? {
            WorkerReply::Opened(facts) => Ok(facts),
            other => Err(out_of_order(&other)),
        }
    }

    pub(super) fn close(&self, device: DeviceId) {
        self.send(Ask::Close(device));
    }

    pub(super) async fn create(&self, device: DeviceId, id: ObjectId, create: Create) -> Result<()> {
        self.ask(Ask::Create(device, id, create), Vec::new()).await.map(drop)
    }

    pub(super) fn drop_object(&self, device: DeviceId, id: ObjectId) {
        self.send(Ask::Drop(device, id));
    }

    pub(super) fn destroy_buffer(&self, device: DeviceId, id: ObjectId) {
        self.send(Ask::DestroyBuffer(device, id));
    }

    pub(super) fn write(
        &self,
        device: DeviceId,
        to: BufferPosition,
        data: &[u8],
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        let answer = self.ask(Ask::Write(device, to), data.to_vec());
        let (child, shared) = (self.child.clone(), self.shared.clone());
        let limit = self.limit.saturating_mul(PATIENCE);
        async move {
            match timeout(limit, answer).await {
                Ok(answer) => answer.map(drop),
                Err(_) => {
                    kill(&child, &shared);
                    Err(GpuFailure::lost(format_args!(
                        "the GPU's worker process has taken nothing for {}",
                        humantime::format_duration(limit)
                    )))
                }
            }
        }
    }

    pub(super) async fn submit(&self, device: DeviceId, commands: Vec<GpuCommand>) -> Result<u64> {
        match self.ask(Ask::Submit(device, commands), Vec::new()).await? {
            WorkerReply::Submitted(Some(number)) => Ok(number),
            other => Err(out_of_order(&other)),
        }
    }

    pub(super) async fn read(
        &self,
        device: DeviceId,
        from: BufferPosition,
        size: u64,
        done: ReadCallback,
    ) -> Result<Option<u64>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.shared.waiting().reads.insert(number, done);
        let ask = Ask::Read { device, from, size };
        let answer = self.ask_as(number, ask, Vec::new()).await;
        match answer {
            Ok(WorkerReply::Submitted(number)) => Ok(number),
            other => {
                self.shared.waiting().reads.remove(&number);
                other.and_then(|other| Err(out_of_order(&other)))
            }
        }
    }

    /// Sends a request that gets no answer.
    fn send(&self, ask: Ask) {
        // This fails only if the worker has ended, which freed everything that the request is about.
        let _ = self.outbox.send((Request { number: 0, ask }, Vec::new()));
    }

    fn ask(&self, ask: Ask, bulk: Vec<u8>) -> impl Future<Output = Result<WorkerReply>> + Send + use<> {
        self.ask_as(self.next.fetch_add(1, Ordering::Relaxed), ask, bulk)
    }

    fn ask_as(&self, number: u64, ask: Ask, bulk: Vec<u8>) -> impl Future<Output = Result<WorkerReply>> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        // Inserted before `has_ended` is read: `listen` sets `ended` before it takes all senders, so no sender stays
        // behind.
        self.shared.waiting().answers.insert(number, sender);
        // If the request is not sent, or the worker ends, the sender is dropped.
        if self.has_ended() || self.outbox.send((Request { number, ask }, bulk)).is_err() {
            self.shared.waiting().answers.remove(&number);
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

fn out_of_order(answer: &WorkerReply) -> GpuFailure {
    GpuFailure::lost(format_args!("the GPU's worker process gave an answer to another question: {answer:?}"))
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

//! The worker's side: runs a session for the host at the other end of standard input.

use std::io::{self, BufReader};
use std::ops::Deref;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::frames::{self, Ask, Request, Tell};
use crate::gpu::adapters::{self, AdapterFacts};
use crate::gpu::compilers;
use crate::gpu::operation::{Bulk, GpuReply, ReadCallback};
use crate::gpu::protocol::{DeviceId, Events, GpuFailure};
use crate::gpu::session::Session;

/// The memory that a worker may have beside its buffers, in bytes: for its driver, the compiler in it, and messages on
/// their way.
const OWN_MEMORY: u64 = 4 << 30;

/// Most frames have no bytes beside the head.
const NOTHING: &[u8] = &[];

/// Sends messages to the host, one frame at a time.
struct HostLink(Mutex<UnixStream>);

impl HostLink {
    /// Sends `tell`, with `bulk` beside it.
    fn tell(&self, tell: &Tell, bulk: impl Deref<Target = [u8]>) {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if frames::write(&*stream, tell, &bulk).is_err() {
            // The host is gone, so there is no more work.
            std::process::exit(0);
        }
        // Dropped while the stream is locked: see `settle`. Dropping bytes sends no message, so it does not lock the
        // stream again.
        drop(bulk);
    }

    /// Waits until the bytes that were sent are dropped. A host that has received them may use their buffer, which
    /// stays mapped until then.
    fn settle(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Events for HostLink {
    fn completed(&self, device: DeviceId, number: u64) {
        self.tell(&Tell::Completed(device, number), NOTHING);
    }

    fn timed(&self, device: DeviceId, time: Duration) {
        self.tell(&Tell::Timed(device, time), NOTHING);
    }

    fn lost(&self, device: DeviceId, why: GpuFailure) {
        self.tell(&Tell::Lost(device, why), NOTHING);
    }

    fn compiled(&self, all: Vec<u8>) {
        self.tell(&Tell::Compiled, all);
    }

    fn closed(&self, device: DeviceId) {
        self.tell(&Tell::Closed(device), NOTHING);
    }
}

/// Serves until the other end is closed.
pub(in crate::gpu) fn run() -> ExitCode {
    // Shaders are parsed on this thread, and the parser recurses as deep as a shader is nested.
    let thread = std::thread::Builder::new().name("gpu-worker".into()).stack_size(compilers::STACK);
    let served =
        thread.spawn(serve).and_then(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("it panicked"))));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A worker has no log, but it shares its host's stderr.
            eprintln!("the GPU worker ends: {error} (only a host should start this process)");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let host = Arc::new(HostLink(Mutex::new(stream.try_clone()?)));
    let mut from = BufReader::new(stream);
    let mut session = None;
    while let Some((Request { number, ask }, bulk)) = frames::read(&mut from)? {
        match (ask, &session) {
            (Ask::Adapters, _) => {
                let adapters = adapters::enumerate().iter().map(AdapterFacts::of).collect();
                host.tell(&Tell::Adapters(adapters), NOTHING);
            }
            (Ask::Adapter { index, memory }, _) => {
                limit_memory(memory);
                let adapter = adapters::enumerate().into_iter().nth(index);
                let answer = match adapter {
                    Some(adapter) => {
                        session = Some(Session::new(adapter, host.clone()));
                        Ok(GpuReply::Done)
                    }
                    None => Err(GpuFailure::lost("the GPU is no longer there")),
                };
                host.tell(&Tell::Answer(number, answer), NOTHING);
            }
            (Ask::Operation { device, operation, reads }, Some(session)) => {
                host.settle();
                let bulk = match reads {
                    true => Bulk::FromGpu(read(host.clone(), number)),
                    false => Bulk::ToGpu(bulk.into()),
                };
                let reply = session.execute(device, &operation, bulk);
                if number != 0 {
                    host.tell(&Tell::Answer(number, reply), NOTHING);
                }
            }
            (Ask::Operation { .. }, None) => return Err(io::Error::other("no adapter has been chosen")),
        }
    }
    // Exits without dropping the devices. Dropping may take as long as their drivers like, and the end of the process
    // frees them.
    std::process::exit(0)
}

/// Limits the process's memory to what its buffers and a compiler need. A shader that takes more ends this process and
/// no other.
fn limit_memory(buffers: u64) {
    let stack = u64::try_from(compilers::STACK).unwrap_or(u64::MAX);
    let most = buffers.saturating_add(stack).saturating_add(OWN_MEMORY);
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    if let Err(error) = setrlimit(Resource::Data, limit) {
        eprintln!("the memory of a GPU worker cannot be limited: {error}");
    }
}

/// Sends the host the bytes of the read that it asked for in request `number`.
fn read(host: Arc<HostLink>, number: u64) -> ReadCallback {
    Box::new(move |result| match result {
        Ok(bytes) => host.tell(&Tell::Read(number, Ok(())), bytes),
        Err(failure) => host.tell(&Tell::Read(number, Err(failure)), NOTHING),
    })
}

//! The worker's side: runs a session for the host at the other end of standard input.

use std::io::{self, BufReader};
use std::ops::Deref;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::frames::{self, Ask, Request, Tell, WorkerReply};
use crate::gpu::adapters::{self, AdapterFacts};
use crate::gpu::compilers;
use crate::gpu::protocol::{DeviceId, Events, GpuFailure, Result};
use crate::gpu::session::{Bytes, Session};

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
                host.tell(&Tell::Answer(number, Ok(WorkerReply::Adapters(adapters))), NOTHING);
            }
            (Ask::Adapter { index, memory }, _) => {
                limit_memory(memory);
                let adapter = adapters::enumerate().into_iter().nth(index);
                let answer = match adapter {
                    Some(adapter) => {
                        session = Some(Session::new(adapter, host.clone()));
                        Ok(WorkerReply::Done)
                    }
                    None => Err(GpuFailure::lost("the GPU is no longer there")),
                };
                host.tell(&Tell::Answer(number, answer), NOTHING);
            }
            (ask, Some(session)) => answer(&host, session, number, ask, &bulk),
            (_, None) => return Err(io::Error::other("no adapter has been chosen")),
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

fn answer(host: &Arc<HostLink>, session: &Session, number: u64, ask: Ask, bulk: &[u8]) {
    host.settle();
    let answer = match ask {
        Ask::Adapters | Ask::Adapter { .. } => return,
        Ask::Close(device) => return session.close(device),
        Ask::Drop(device, id) => return session.drop_object(device, id),
        Ask::DestroyBuffer(device, id) => return session.destroy_buffer(device, id),
        Ask::Open(id, descriptor) => session.open(id, &descriptor).map(WorkerReply::Opened),
        Ask::Create(device, id, create) => session.create(device, id, &create).map(|()| WorkerReply::Done),
        Ask::Write(device, to) => session.write(device, to, bulk).map(|()| WorkerReply::Done),
        Ask::Submit(device, commands) => {
            session.submit(device, &commands).map(|number| WorkerReply::Submitted(Some(number)))
        }
        Ask::Read { device, from, size } => {
            let read = {
                let host = host.clone();
                move |result: Result<Bytes>| match result {
                    Ok(bytes) => host.tell(&Tell::Read(number, Ok(())), bytes),
                    Err(failure) => host.tell(&Tell::Read(number, Err(failure)), NOTHING),
                }
            };
            session.read(device, from, size, Box::new(read)).map(WorkerReply::Submitted)
        }
    };
    host.tell(&Tell::Answer(number, answer), NOTHING);
}

//! The worker's side: a session for whoever holds the other end of its standard input.

use std::io::{self, BufReader};
use std::ops::Deref;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::frames::{self, Answer, Ask, Request, Tell};
use crate::gpu::adapters::{self, Facts};
use crate::gpu::compilers;
use crate::gpu::protocol::{DeviceId, Events, Failure, Result};
use crate::gpu::session::{Bytes, Session};

/// What a worker may have beside its buffers, in bytes: for its driver, the compiler in it, and what is on its way.
const OWN_MEMORY: u64 = 4 << 30;

/// What is beside most frames.
const NOTHING: &[u8] = &[];

/// What goes back to the host, a frame at a time.
struct Host(Mutex<UnixStream>);

impl Host {
    /// Tells, with `bulk` beside it.
    fn tell(&self, tell: &Tell, bulk: impl Deref<Target = [u8]>) {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if frames::write(&*stream, tell, &bulk).is_err() {
            // There is nobody left to work for.
            std::process::exit(0);
        }
        // While the stream is locked: see `settle`. Letting bytes go tells nothing.
        drop(bulk);
    }

    /// Waits until the bytes that were told are let go: a host that has them may use their buffer, which was mapped for them.
    fn settle(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Events for Host {
    fn completed(&self, device: DeviceId, number: u64) {
        self.tell(&Tell::Completed(device, number), NOTHING);
    }

    fn timed(&self, device: DeviceId, time: Duration) {
        self.tell(&Tell::Timed(device, time), NOTHING);
    }

    fn lost(&self, device: DeviceId, why: Failure) {
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
    // Shaders are read on this thread, by a parser that goes into itself as deep as they are nested.
    let thread = std::thread::Builder::new().name("gpu-worker".into()).stack_size(compilers::STACK);
    let served =
        thread.spawn(serve).and_then(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("it panicked"))));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A worker has no log of its own, and its host's stderr.
            eprintln!("a GPU worker ends, which a host starts and nobody else: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let host = Arc::new(Host(Mutex::new(stream.try_clone()?)));
    let mut from = BufReader::new(stream);
    let mut session = None;
    while let Some((Request { number, ask }, bulk)) = frames::read(&mut from)? {
        match (ask, &session) {
            (Ask::Adapters, _) => {
                let adapters = adapters::enumerate().iter().map(Facts::of).collect();
                host.tell(&Tell::Answer(number, Ok(Answer::Adapters(adapters))), NOTHING);
            }
            (Ask::Adapter { index, memory }, _) => {
                limit_memory(memory);
                let adapter = adapters::enumerate().into_iter().nth(index);
                let answer = match adapter {
                    Some(adapter) => {
                        session = Some(Session::new(adapter, host.clone()));
                        Ok(Answer::Done)
                    }
                    None => Err(Failure::lost("the GPU is no longer there")),
                };
                host.tell(&Tell::Answer(number, answer), NOTHING);
            }
            (ask, Some(session)) => answer(&host, session, number, ask, &bulk),
            (_, None) => return Err(io::Error::other("no adapter has been chosen")),
        }
    }
    // Dropping devices may take as long as their drivers like, and the process's end frees them all.
    std::process::exit(0)
}

/// Lets the process have no more memory than its buffers and a compiler need. A shader that takes more ends it, and no
/// other process.
fn limit_memory(buffers: u64) {
    let stack = u64::try_from(compilers::STACK).unwrap_or(u64::MAX);
    let most = buffers.saturating_add(stack).saturating_add(OWN_MEMORY);
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    if let Err(error) = setrlimit(Resource::Data, limit) {
        eprintln!("the memory of a GPU worker cannot be limited: {error}");
    }
}

fn answer(host: &Arc<Host>, session: &Session, number: u64, ask: Ask, bulk: &[u8]) {
    host.settle();
    let answer = match ask {
        Ask::Adapters | Ask::Adapter { .. } => return,
        Ask::Close(device) => return session.close(device),
        Ask::Drop(device, id) => return session.drop_object(device, id),
        Ask::DestroyBuffer(device, id) => return session.destroy_buffer(device, id),
        Ask::Open(id, descriptor) => session.open(id, &descriptor).map(Answer::Opened),
        Ask::Create(device, id, create) => session.create(device, id, &create).map(|()| Answer::Done),
        Ask::Write(device, to) => session.write(device, to, bulk).map(|()| Answer::Done),
        Ask::Submit(device, commands) => {
            session.submit(device, &commands).map(|number| Answer::Submitted(Some(number)))
        }
        Ask::Read { device, from, size } => {
            let read = {
                let host = host.clone();
                move |result: Result<Bytes>| match result {
                    Ok(bytes) => host.tell(&Tell::Read(number, Ok(())), bytes),
                    Err(failure) => host.tell(&Tell::Read(number, Err(failure)), NOTHING),
                }
            };
            session.read(device, from, size, Box::new(read)).map(Answer::Submitted)
        }
    };
    host.tell(&Tell::Answer(number, answer), NOTHING);
}

//! A guest's stdout and stderr, as log lines that name the chainlet.
//!
//! The lines of a chainlet go out at a bounded rate, whatever becomes of its replicas, and the log says how many it left
//! out. A line longer than [`LINE_LIMIT`] is cut.
//!
//! A line has the id of the request whose call wrote it, all of it. One that is written in parts by several calls has
//! none, nor has one of work that belongs to no call. [`attributed`] knows the call for the functions of WASI 0.2; a
//! stream of WASI 0.3 is read later than it is written, so its lines have no id.

mod attributed;

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime::component::Linker;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::{Capability, GrantRequest, StateError};
use crate::chainlet::state::ReplicaState;
use crate::config::{ChainletName, ConfigError};
use crate::guest_words::{SENTENCE, clip};
use crate::log_rate::LogRate;

/// The target of the log events that are a guest's own lines.
pub(crate) const TARGET: &str = "chainlet";
/// The longest line that is logged whole, in bytes.
const LINE_LIMIT: usize = 8 * 1024;
/// The most bytes that a guest may write at a time.
const PERMIT: usize = 64 * 1024;
/// The number of last lines on stderr that explain a trap, each clipped to the length of a sentence.
const LAST_WORDS: usize = 3;
/// The beginning of the line in which Rust recommends a variable after a panic. The line is left out, because the variable
/// of the host does not reach the guest.
const BACKTRACE_HINT: &str = "note: run with `RUST_BACKTRACE=";

/// The capability.
pub(crate) struct StandardOutput;

/// The rate at which the lines of one chainlet are logged.
pub(crate) struct Lines {
    chainlet: ChainletName,
    rate: Arc<LogRate>,
}

impl Capability for StandardOutput {
    type Grant = Lines;
    type State = GuestOutput;

    fn name(&self) -> &'static str {
        "output"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["wasi:cli/stdout", "wasi:cli/stderr"]
    }

    fn add_to_linker(&self, linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
        attributed::add_to_linker(linker)
    }

    async fn grant(&self, chainlet: &GrantRequest<'_>) -> Result<Lines, ConfigError> {
        Ok(Lines { chainlet: chainlet.name.clone(), rate: Arc::new(LogRate::default()) })
    }

    fn state(&self, lines: &Arc<Lines>, replica: u32, wasi: &mut WasiCtxBuilder) -> Result<GuestOutput, StateError> {
        let output = GuestOutput::new(&lines.chainlet, replica, &lines.rate);
        wasi.stdout(output.stdout()).stderr(output.stderr());
        Ok(output)
    }
}

/// The output of one replica.
#[derive(Clone)]
pub(crate) struct GuestOutput(Arc<Shared>);

struct Shared {
    chainlet: ChainletName,
    replica: u32,
    rate: Arc<LogRate>,
    state: Mutex<State>,
}

struct State {
    /// The part of each stream's current line that has come so far.
    partial: [Line; 2],
    /// The request whose call is writing now, as far as that is known.
    writer: Option<Arc<str>>,
    last_words: std::collections::VecDeque<String>,
}

/// A line that has no end yet.
#[derive(Default)]
struct Line {
    text: Vec<u8>,
    /// The request whose call has written all of it.
    request: Option<Arc<str>>,
}

/// Has a guest's lines carry the id of a request, until it is dropped.
struct Attributed(GuestOutput);

/// The level of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// One of a guest's two streams.
#[derive(Debug, Clone, Copy)]
enum StdStream {
    Stdout = 0,
    Stderr = 1,
}

impl StdStream {
    fn name(self) -> &'static str {
        match self {
            StdStream::Stdout => "stdout",
            StdStream::Stderr => "stderr",
        }
    }
}

impl GuestOutput {
    /// The output of replica `replica`; all replicas of a chainlet share its `rate`.
    fn new(chainlet: &ChainletName, replica: u32, rate: &Arc<LogRate>) -> Self {
        let state = State { partial: Default::default(), writer: None, last_words: Default::default() };
        GuestOutput(Arc::new(Shared {
            chainlet: chainlet.clone(),
            replica,
            rate: rate.clone(),
            state: Mutex::new(state),
        }))
    }

    fn stdout(&self) -> impl StdoutStream + 'static {
        Writer { output: self.clone(), stream: StdStream::Stdout }
    }

    fn stderr(&self) -> impl StdoutStream + 'static {
        Writer { output: self.clone(), stream: StdStream::Stderr }
    }

    /// The last lines on stderr: where a guest panicked, the panic's message.
    pub(crate) fn last_words(&self) -> Option<String> {
        let state = self.lock();
        let words: Vec<&str> =
            state.last_words.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
        (!words.is_empty()).then(|| words.join(" / "))
    }

    /// Attributes all writes to the call of `request`, until the returned value is dropped.
    fn attribute(&self, request: Option<Arc<str>>) -> Attributed {
        self.lock().writer = request;
        Attributed(self.clone())
    }

    fn write(&self, stream: StdStream, mut bytes: &[u8]) {
        let mut state = self.lock();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            state.append(stream, line);
            let whole = std::mem::take(state.partial(stream));
            self.log(&mut state, stream, &whole);
        }
        if !bytes.is_empty() {
            state.append(stream, bytes);
        }
    }

    fn log(&self, state: &mut State, stream: StdStream, Line { text, request }: &Line) {
        let line = String::from_utf8_lossy(text);
        if line.starts_with(BACKTRACE_HINT) {
            return;
        }
        if matches!(stream, StdStream::Stderr) {
            state.last_words.push_back(clip(line.clone().into_owned(), SENTENCE));
            if state.last_words.len() > LAST_WORDS {
                state.last_words.pop_front();
            }
        }
        let Some(left_out) = self.0.rate.admit() else { return };
        let Shared { chainlet, replica, .. } = &*self.0;
        self.0.tell_left_out(left_out);
        let request = request.as_deref().map(tracing::field::display);
        tracing::info!(target: TARGET, %chainlet, replica, request, stream = %stream.name(), "{line}");
    }

    /// Writes a line of the guest's for the request `request`, unless it has written too many.
    pub(super) fn line(&self, level: Level, request: Option<&str>, message: String, fields: &[(String, String)]) {
        let Some(left_out) = self.0.rate.admit() else { return };
        self.0.tell_left_out(left_out);
        let Shared { chainlet, replica, .. } = &*self.0;
        let request = request.map(tracing::field::display);
        let message = clip(message, LINE_LIMIT);
        let fields = (!fields.is_empty()).then(|| clip(json(fields), LINE_LIMIT));
        let fields = fields.as_deref().map(tracing::field::display);
        // The level of an event is part of its place in the program.
        match level {
            Level::Trace => tracing::trace!(target: TARGET, %chainlet, replica, request, fields, "{message}"),
            Level::Debug => tracing::debug!(target: TARGET, %chainlet, replica, request, fields, "{message}"),
            Level::Info => tracing::info!(target: TARGET, %chainlet, replica, request, fields, "{message}"),
            Level::Warn => tracing::warn!(target: TARGET, %chainlet, replica, request, fields, "{message}"),
            Level::Error => tracing::error!(target: TARGET, %chainlet, replica, request, fields, "{message}"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The fields of a line, as a JSON object in the guest's order.
fn json(fields: &[(String, String)]) -> String {
    let fields: indexmap::IndexMap<&str, &str> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    // Text alone can always be written.
    serde_json::to_string(&fields).unwrap_or_default()
}

impl Shared {
    fn tell_left_out(&self, lines: u64) {
        if lines > 0 {
            let Shared { chainlet, replica, .. } = self;
            tracing::warn!(target: TARGET, %chainlet, replica, suppressed = lines, "lines of output left out");
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // No further line comes to bring this along.
        self.tell_left_out(self.rate.left_out());
    }
}

impl Drop for Attributed {
    fn drop(&mut self) {
        self.0.lock().writer = None;
    }
}

impl State {
    fn partial(&mut self, stream: StdStream) -> &mut Line {
        let [stdout, stderr] = &mut self.partial;
        match stream {
            StdStream::Stdout => stdout,
            StdStream::Stderr => stderr,
        }
    }

    /// Adds to the line that `stream` has begun.
    fn append(&mut self, stream: StdStream, bytes: &[u8]) {
        let writer = self.writer.clone();
        let line = self.partial(stream);
        if line.text.is_empty() {
            line.request = writer;
        } else if line.request != writer {
            line.request = None;
        }
        let room = LINE_LIMIT.saturating_sub(line.text.len());
        line.text.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}

/// The writing end that a guest has, through WASI 0.2 or 0.3.
struct Writer {
    output: GuestOutput,
    stream: StdStream,
}

impl Writer {
    fn again(&self) -> Writer {
        Writer { output: self.output.clone(), stream: self.stream }
    }
}

impl IsTerminal for Writer {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Writer {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.again())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.again())
    }
}

impl AsyncWrite for Writer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.output.write(self.stream, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {}
}

impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.output.write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output() -> GuestOutput {
        GuestOutput::new(&ChainletName::new("say-hello").unwrap(), 0, &Arc::new(LogRate::default()))
    }

    #[test]
    fn last_words_are_the_last_lines_of_stderr_alone() {
        let output = output();
        output.write(StdStream::Stdout, b"not these\n");
        assert_eq!(output.last_words(), None);
        output.write(StdStream::Stderr, b"one\ntwo\n\nthread panicked ");
        output.write(StdStream::Stderr, b"at src/lib.rs\nboom\nunfinished");
        assert_eq!(output.last_words().unwrap(), "thread panicked at src/lib.rs / boom");
        output.write(
            StdStream::Stderr,
            b"\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
        );
        assert_eq!(output.last_words().unwrap(), "thread panicked at src/lib.rs / boom / unfinished");
    }

    #[test]
    fn a_line_without_end_is_held_only_up_to_the_limit() {
        let output = output();
        for _ in 0..100 {
            output.write(StdStream::Stdout, &[b'x'; 1024]);
        }
        assert_eq!(output.lock().partial(StdStream::Stdout).text.len(), LINE_LIMIT);
    }
    #[test]
    fn a_line_has_the_request_that_wrote_all_of_it_and_no_other() {
        let output = output();
        let write = |request: Option<&str>, bytes: &[u8]| {
            let _attributed = output.attribute(request.map(Arc::from));
            output.write(StdStream::Stdout, bytes);
        };
        let request = || output.lock().partial(StdStream::Stdout).request.clone();
        write(Some("a"), b"a line\nthe beginning ");
        write(Some("a"), b"of another");
        assert_eq!(request().as_deref(), Some("a"));
        write(Some("b"), b"");
        assert_eq!(request().as_deref(), Some("a"), "nothing was written");
        write(Some("b"), b" by two");
        assert_eq!(request(), None);
        write(Some("a"), b" requests");
        assert_eq!(request(), None, "the line stays that of two");
        write(Some("b"), b"\nand the next");
        assert_eq!(request().as_deref(), Some("b"));
        output.write(StdStream::Stdout, b" by work of no call");
        assert_eq!(request(), None);
    }
}

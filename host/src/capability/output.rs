//! A guest's stdout and stderr, as log lines that name the chainlet.
//!
//! Lines go out at a bounded rate: a guest that floods its output costs the host no more than [`LINES_PER_SECOND`], and
//! the log says how many lines it left out. A line longer than [`LINE_LIMIT`] is cut.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::config::ChainletName;

/// The target of the log events that are a guest's own lines.
pub(crate) const TARGET: &str = "chainlet";
/// How many lines a replica may log each second, averaged over a burst of as many.
const LINES_PER_SECOND: f64 = 100.0;
/// The longest line that is logged whole, in bytes.
const LINE_LIMIT: usize = 8 * 1024;
/// How many bytes a guest may write at a time.
const PERMIT: usize = 64 * 1024;
/// How many of the last lines on stderr explain a trap.
const LAST_WORDS: usize = 3;
/// How the line begins by which Rust says after a panic what would show more. It is left out: a guest has no such
/// variable, and the reader of the log would set it in vain.
const BACKTRACE_HINT: &str = "note: run with `RUST_BACKTRACE=";

/// The output of one replica.
#[derive(Clone)]
pub(crate) struct Output(Arc<Shared>);

struct Shared {
    chainlet: ChainletName,
    replica: u32,
    state: Mutex<State>,
}

struct State {
    rate: Rate,
    /// What has come of each stream's current line.
    partial: [Vec<u8>; 2],
    last_words: std::collections::VecDeque<String>,
}

/// Which of a guest's two streams a line came from.
#[derive(Debug, Clone, Copy)]
enum Stream {
    Stdout = 0,
    Stderr = 1,
}

impl Output {
    pub(super) fn new(chainlet: &ChainletName, replica: u32) -> Self {
        let state =
            State { rate: Rate::new(Instant::now()), partial: Default::default(), last_words: Default::default() };
        Output(Arc::new(Shared { chainlet: chainlet.clone(), replica, state: Mutex::new(state) }))
    }

    pub(super) fn stdout(&self) -> impl StdoutStream + 'static {
        Writer { output: self.clone(), stream: Stream::Stdout }
    }

    pub(super) fn stderr(&self) -> impl StdoutStream + 'static {
        Writer { output: self.clone(), stream: Stream::Stderr }
    }

    /// The last lines on stderr: where a guest panicked, the panic's message.
    pub(crate) fn last_words(&self) -> Option<String> {
        let state = self.lock();
        let words: Vec<&str> =
            state.last_words.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
        (!words.is_empty()).then(|| words.join(" / "))
    }

    fn write(&self, stream: Stream, mut bytes: &[u8]) {
        let mut state = self.lock();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            let mut whole = std::mem::take(state.partial(stream));
            append(&mut whole, line);
            self.log(&mut state, stream, &whole);
        }
        append(state.partial(stream), bytes);
    }

    fn log(&self, state: &mut State, stream: Stream, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        if line.starts_with(BACKTRACE_HINT) {
            return;
        }
        if matches!(stream, Stream::Stderr) {
            state.last_words.push_back(line.clone().into_owned());
            if state.last_words.len() > LAST_WORDS {
                state.last_words.pop_front();
            }
        }
        let Some(left_out) = state.rate.admit(Instant::now()) else { return };
        let Shared { chainlet, replica, .. } = &*self.0;
        self.0.tell_left_out(left_out);
        tracing::info!(target: TARGET, %chainlet, replica, stream = ?stream, "{line}");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn tell_left_out(&self, lines: u64) {
        if lines > 0 {
            let Shared { chainlet, replica, .. } = self;
            tracing::warn!(target: TARGET, %chainlet, replica, lines, "lines of output left out");
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // No further line comes to bring this along.
        let left_out = self.state.get_mut().unwrap_or_else(PoisonError::into_inner).rate.left_out;
        self.tell_left_out(left_out);
    }
}

impl State {
    fn partial(&mut self, stream: Stream) -> &mut Vec<u8> {
        let [stdout, stderr] = &mut self.partial;
        match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        }
    }
}

fn append(line: &mut Vec<u8>, bytes: &[u8]) {
    let room = LINE_LIMIT.saturating_sub(line.len());
    line.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
}

/// A token bucket of log lines.
struct Rate {
    tokens: f64,
    last: Instant,
    left_out: u64,
}

impl Rate {
    fn new(now: Instant) -> Self {
        Rate { tokens: LINES_PER_SECOND, last: now, left_out: 0 }
    }

    /// Whether a line may go out now, and then how many were left out before it.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = now;
        self.tokens = (self.tokens + passed * LINES_PER_SECOND).min(LINES_PER_SECOND);
        if self.tokens < 1.0 {
            self.left_out += 1;
            return None;
        }
        self.tokens -= 1.0;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// The writing end that a guest has, through WASI 0.2 or 0.3.
struct Writer {
    output: Output,
    stream: Stream,
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
    use std::time::Duration;

    use super::*;

    fn output() -> Output {
        Output::new(&ChainletName::new("say-hello").unwrap(), 0)
    }

    #[test]
    fn the_rate_lets_a_burst_through_then_a_steady_share_and_counts_the_rest() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        let burst = (0..1000).filter(|_| rate.admit(start).is_some()).count();
        assert_eq!(burst, 100);
        assert_eq!(rate.admit(start + Duration::from_millis(11)), Some(900));
        assert_eq!(rate.admit(start + Duration::from_millis(12)), None);
        assert_eq!(rate.admit(start + Duration::from_secs(100)), Some(1));
    }

    #[test]
    fn last_words_are_the_last_lines_of_stderr_alone() {
        let output = output();
        output.write(Stream::Stdout, b"not these\n");
        assert_eq!(output.last_words(), None);
        output.write(Stream::Stderr, b"one\ntwo\n\nthread panicked ");
        output.write(Stream::Stderr, b"at src/lib.rs\nboom\nunfinished");
        assert_eq!(output.last_words().unwrap(), "thread panicked at src/lib.rs / boom");
        output.write(
            Stream::Stderr,
            b"\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
        );
        assert_eq!(output.last_words().unwrap(), "thread panicked at src/lib.rs / boom / unfinished");
    }

    #[test]
    fn a_line_without_end_is_held_only_up_to_the_limit() {
        let output = output();
        for _ in 0..100 {
            output.write(Stream::Stdout, &[b'x'; 1024]);
        }
        assert_eq!(output.lock().partial(Stream::Stdout).len(), LINE_LIMIT);
    }
}

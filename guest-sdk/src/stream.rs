//! Streams and futures in the signature of `run-remote`.
//!
//! A chainlet gets a `stream<T>` as a [`StreamReader`], from its caller or from a dependency. `next().await` returns
//! its next item, and `None` after the last. It gets a `future<T>` as a [`FutureReader`], which it awaits.
//!
//! To return a stream, or to pass one to a dependency, call the function `stream` in the module `wit` that the macro
//! writes. Its argument is an async closure, which writes the stream. The closure continues after `run_remote` has
//! returned. So a `run-remote` that returns a stream is an `async func`, because a plain `func` ends when it returns.
//!
//! ```
//! # mod words {
//! use chainlet::StreamReader;
//!
//! #[derive(Default)]
//! struct Words;
//!
//! #[chainlet::chainlet(inline = "
//!     package example:words;
//!
//!     world words {
//!         export run-remote: async func(text: string) -> stream<string>;
//!     }
//! ")]
//! impl Words {
//!     async fn run_remote(&self, text: String) -> StreamReader<String> {
//!         wit::stream(async move |mut words| {
//!             for word in text.split_whitespace() {
//!                 // Stop if the reader has left.
//!                 if !words.send(word.to_owned()).await {
//!                     break;
//!                 }
//!             }
//!         })
//!     }
//! }
//! # }
//! ```
//!
//! There are three such functions. The macro writes each if the world has a type for it:
//!
//! - `wit::stream(async |writer| …)` returns a `StreamReader<T>`;
//! - `wit::future(async { … })` returns a `FutureReader<T>`;
//! - `wit::try_stream(async |writer| …)` returns both: a stream, and a future with the `result<U, E>` that the closure
//!   returns. This tells the reader whether the stream is complete; a `stream<T>` alone just ends.
//!
//! ```
//! # mod rows {
//! use chainlet::{FutureReader, StreamReader};
//!
//! #[derive(Default)]
//! struct Rows;
//!
//! #[chainlet::chainlet(inline = "
//!     package example:rows;
//!
//!     world rows {
//!         export run-remote: async func(text: string) -> tuple<stream<f64>, future<result<u32, string>>>;
//!     }
//! ")]
//! impl Rows {
//!     async fn run_remote(&self, text: String) -> (StreamReader<f64>, FutureReader<Result<u32, String>>) {
//!         wit::try_stream(async move |mut rows| {
//!             let mut sent = 0;
//!             for line in text.lines() {
//!                 let row = line.parse().map_err(|error| format!("`{line}`: {error}"))?;
//!                 if !rows.send(row).await {
//!                     break;
//!                 }
//!                 sent += 1;
//!             }
//!             Ok(sent)
//!         })
//!     }
//! }
//! # }
//! ```
//!
//! To use the value that `init` made in the closure, write `&'static self` instead of `&self` in `run_remote`: the
//! value lives as long as the instance.
//!
//! Streams are fast if many items move at once. `send_all` sends many items at once, and [`Items`] reads many at once.

pub use wit_bindgen::rt::async_support::{FutureReader, StreamReader};
use wit_bindgen::rt::async_support::{FutureWriter, StreamWriter};

/// The most items that [`Items`] reads at once.
const BATCH: usize = 256;

/// The items of a stream, which it returns one by one. It reads all items that are there at once, because reading a
/// single item costs about as much as a call.
///
/// ```
/// # async fn example(words: chainlet::StreamReader<String>) {
/// let mut words = chainlet::stream::Items::new(words);
/// while let Some(word) = words.next().await {
///     println!("{word}");
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Items<T: 'static> {
    reader: StreamReader<T>,
    here: std::vec::IntoIter<T>,
}

impl<T: 'static> Items<T> {
    /// Returns the items of `reader`.
    pub fn new(reader: StreamReader<T>) -> Self {
        Items { reader, here: Vec::new().into_iter() }
    }

    /// Returns the next item; `None` after the last.
    pub async fn next(&mut self) -> Option<T> {
        if self.here.len() == 0 {
            let (_, read) = self.reader.read(Vec::with_capacity(BATCH)).await;
            self.here = read.into_iter();
        }
        self.here.next()
    }
}

/// The writable end of a stream. Dropping it ends the stream.
#[derive(Debug)]
pub struct Writer<T: 'static>(StreamWriter<T>);

impl<T: 'static> Writer<T> {
    /// Sends one item, and waits until the reader has taken it. Returns false if the reader has left and will take no
    /// more items.
    pub async fn send(&mut self, item: T) -> bool {
        self.0.write_one(item).await.is_none()
    }

    /// Sends all of `items`, in as few moves as the reader allows. Returns false if the reader has left before it took
    /// all of them.
    pub async fn send_all(&mut self, items: Vec<T>) -> bool {
        self.0.write_all(items).await.is_empty()
    }
}

/// The parts that the functions in `wit` use.
#[doc(hidden)]
pub mod make {
    use super::{FutureReader, FutureWriter, StreamReader, StreamWriter, Writer};

    /// Returns the readable end, and runs `write` with the writable end.
    pub fn stream<T: 'static, W: Future<Output = ()> + 'static>(
        (writer, reader): (StreamWriter<T>, StreamReader<T>),
        write: impl FnOnce(Writer<T>) -> W,
    ) -> StreamReader<T> {
        spawn(write(Writer(writer)));
        reader
    }

    /// Returns the readable end, and sends `value` to it when it is there.
    pub fn future<T: 'static>(
        (writer, reader): (FutureWriter<T>, FutureReader<T>),
        value: impl Future<Output = T> + 'static,
    ) -> FutureReader<T> {
        spawn(async move {
            // An error gives the value back, because the reader has left.
            drop(writer.write(value.await).await);
        });
        reader
    }

    /// Returns the readable ends of both. The future gets the value that `write` returns.
    pub fn try_stream<T: 'static, R: 'static, W: Future<Output = R> + 'static>(
        (writer, reader): (StreamWriter<T>, StreamReader<T>),
        (outcome, end): (FutureWriter<R>, FutureReader<R>),
        write: impl FnOnce(Writer<T>) -> W,
    ) -> (StreamReader<T>, FutureReader<R>) {
        let writing = write(Writer(writer));
        spawn(async move {
            drop(outcome.write(writing.await).await);
        });
        (reader, end)
    }

    /// Runs `work` beside the call and after its answer, until nobody wants it any more.
    fn spawn(work: impl Future<Output = ()> + 'static) {
        wit_bindgen::rt::async_support::spawn_local(async {
            // The end of the call drops `work`, which ends its streams.
            let _: Option<()> = crate::__private::until_cancelled(work).await;
        });
    }
}

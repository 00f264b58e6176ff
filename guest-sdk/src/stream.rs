//! Streams and futures in the signature of `run-remote`.
//!
//! A `stream<T>` that a chainlet takes, or that a dependency returns, is a
//! [`StreamReader`]: `next().await` is its next item, and `None` after the
//! last. A `future<T>` is a [`FutureReader`], which is awaited.
//!
//! A stream that a chainlet returns, or passes to a dependency, is made by the
//! function `stream` in the module `wit` that the macro writes, and written by
//! the async closure that it is given, which goes on after `run_remote` has
//! returned. So a `run-remote` that returns one is an `async func`: a plain
//! `func` is over when it returns.
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
//!                 // A reader who has left is a reason to stop.
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
//! There are three such functions, each where the world has a type for it:
//!
//! - `wit::stream(async |writer| …)` is a `StreamReader<T>`;
//! - `wit::future(async { … })` is a `FutureReader<T>`;
//! - `wit::try_stream(async |writer| …)` is both, a stream and a future of how
//!   it ended: a `result<U, E>`, which the closure returns. So a reader learns
//!   whether the stream is complete: a `stream<T>` by itself just ends.
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
//! The closure may use what `init` made where `run_remote` takes
//! `&'static self` in place of `&self`: it lives as long as the instance.
//!
//! Where many items are at hand, `send_all` moves them at once, and [`Items`]
//! reads them so; that is where streams are fast.

pub use wit_bindgen::rt::async_support::{FutureReader, StreamReader};
use wit_bindgen::rt::async_support::{FutureWriter, StreamWriter};

/// How many items [`Items`] asks for at once.
const BATCH: usize = 256;

/// A stream whose items are read one by one, and moved many at a time, as
/// many as are there: an item by itself costs about as much as a call.
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
    /// The items of `reader`.
    pub fn new(reader: StreamReader<T>) -> Self {
        Items { reader, here: Vec::new().into_iter() }
    }

    /// The next item; `None` after the last.
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
    /// Sends one item, and waits until it is taken; false where the reader
    /// has left, and no item will be taken any more.
    pub async fn send(&mut self, item: T) -> bool {
        self.0.write_one(item).await.is_none()
    }

    /// Sends all of `items`, in as few moves as the reader lets it; false
    /// where the reader has left before it took them all.
    pub async fn send_all(&mut self, items: Vec<T>) -> bool {
        self.0.write_all(items).await.is_empty()
    }
}

/// What the functions in `wit` are made of.
#[doc(hidden)]
pub mod make {
    use super::{FutureReader, FutureWriter, StreamReader, StreamWriter, Writer};

    /// The readable end of `ends`, with `write` at work on the other.
    pub fn stream<T: 'static, W: Future<Output = ()> + 'static>(
        (writer, reader): (StreamWriter<T>, StreamReader<T>),
        write: impl FnOnce(Writer<T>) -> W,
    ) -> StreamReader<T> {
        spawn(write(Writer(writer)));
        reader
    }

    /// The readable end of `ends`, with `value` on its way to the other.
    pub fn future<T: 'static>(
        (writer, reader): (FutureWriter<T>, FutureReader<T>),
        value: impl Future<Output = T> + 'static,
    ) -> FutureReader<T> {
        spawn(async move {
            // An error gives the value back: nobody waits for it.
            drop(writer.write(value.await).await);
        });
        reader
    }

    /// Both, where what `write` returns is the future's value.
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

    /// Runs `work` beside and after the call, until nobody wants it any more.
    fn spawn(work: impl Future<Output = ()> + 'static) {
        wit_bindgen::rt::async_support::spawn_local(async {
            // It is dropped at the end of the call, which ends its streams.
            let _: Option<()> = crate::__private::until_cancelled(work).await;
        });
    }
}

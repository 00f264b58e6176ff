//! `model`: writes a text, token by token.

mod prose;

use std::{fs, time::Duration};

use chainlet::{Context as _, FutureReader, Result, StreamReader, chainlet, context, time};
use prose::{Prose, ends_a_sentence, pieces};
use serde::Deserialize;

/// `[chainlets.model.config]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The path of the book from which it learns, in the files that chain.toml gives this chainlet.
    book: String,
    /// The number of words after which it stops at the end of a sentence.
    words: u32,
    /// The time for each token, in milliseconds.
    pause: u64,
}

struct Novelist {
    prose: Prose,
    words: u32,
    pause: Duration,
}

#[chainlet]
impl Novelist {
    /// Reads the book once. All calls use what it has learnt.
    async fn init() -> Result<Self> {
        let Settings { book, words, pause } = context::settings()?;
        let text = fs::read_to_string(&book).context(format!("cannot read the book {book}"))?;
        let prose = Prose::learn(&text);
        if prose.is_empty() {
            return Err(format!("{book} has no sentences to learn from").into());
        }
        println!("{} different words are known from {book}", prose.words());
        Ok(Self { prose, words, pause: Duration::from_millis(pause) })
    }

    /// Returns at once; the stream is written afterwards. It takes `&'static self`, because the writing lasts longer
    /// than this function.
    async fn run_remote(&'static self, prompt: String, max_words: u32) -> (StreamReader<String>, FutureReader<Finish>) {
        wit::try_stream(async move |mut tokens| {
            let mut written = Written::default();
            for word in self.prose.after(&prompt) {
                if written.words == max_words {
                    written.is_whole = true;
                    return Finish::Length;
                }
                for token in pieces(word) {
                    self.think().await;
                    if !tokens.send(token).await {
                        // A reader that has left does not read the future.
                        return Finish::Stop;
                    }
                }
                written.words += 1;
                if written.words >= self.words && ends_a_sentence(word) {
                    break;
                }
            }
            written.is_whole = true;
            Finish::Stop
        })
    }
}

/// The progress of a text. If the reader leaves, the writing ends at its current `await`, and this is dropped.
#[derive(Default)]
struct Written {
    words: u32,
    is_whole: bool,
}

impl Drop for Written {
    fn drop(&mut self) {
        if !self.is_whole {
            println!("the reader left after {} words", self.words);
        }
    }
}

impl Novelist {
    /// Stands in for the work of a larger model. Other calls continue meanwhile.
    async fn think(&self) {
        time::sleep(self.pause).await;
    }
}

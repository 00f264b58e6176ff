//! `chat`: continues a text, word by word.

use chainlet::{FutureReader, OrFail, StreamReader, chainlet};

/// The longest prompt, in bytes.
const LONGEST: u32 = 1000;
/// The most words of an answer, and the default.
const MOST_WORDS: u32 = 1000;
const USUAL_WORDS: u32 = 100;

#[derive(Default)]
struct Chat;

#[chainlet]
impl Chat {
    /// Mistakes in the prompt are errors of the call, before anything is streamed.
    async fn run_remote(
        &self,
        prompt: String,
        max_words: Option<u32>,
    ) -> Result<(StreamReader<String>, FutureReader<Result<Usage, String>>), ChatError> {
        let prompt_words = prompt.split_whitespace().count() as u32;
        if prompt_words == 0 {
            return Err(ChatError::EmptyPrompt);
        }
        if prompt.len() > LONGEST as usize {
            return Err(ChatError::PromptTooLong(LONGEST));
        }
        let max_words = max_words.unwrap_or(USUAL_WORDS);
        if !(1..=MOST_WORDS).contains(&max_words) {
            return Err(ChatError::MaxWordsOutOfRange(MOST_WORDS));
        }

        // The words are passed on unread, so they no longer go through this chainlet.
        let (words, tally) = filter::run_remote(prompt, max_words).await.or_fail().await;
        let usage = wit::future(async move {
            let Tally { words, hidden, finish } = tally.await?;
            Ok(Usage { prompt_words, words, hidden, finish })
        });
        Ok((words, usage))
    }
}

//! `chat`: goes on with a text, word by word.

use chainlet::{FutureReader, OrFail, StreamReader, chainlet};

/// How long a prompt may be, in bytes.
const LONGEST: u32 = 1000;
/// How many words an answer may have, and how many where nothing is said about it.
const MOST_WORDS: u32 = 1000;
const USUAL_WORDS: u32 = 100;

#[derive(Default)]
struct Chat;

#[chainlet]
impl Chat {
    /// What is wrong with the prompt is said before anything is streamed.
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

        // The words are handed on unread: they do not come through this chainlet any more.
        let (words, tally) = filter::run_remote(prompt, max_words).await.or_fail().await;
        let usage = wit::future(async move {
            let Tally { words, hidden, finish } = tally.await?;
            Ok(Usage { prompt_words, words, hidden, finish })
        });
        Ok((words, usage))
    }
}

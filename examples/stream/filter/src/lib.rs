//! `filter`: checks each word that a model writes.

mod rules;

use chainlet::{FutureReader, OrFail, Result, StreamReader, chainlet, context};
use rules::{Rules, Verdict};

struct Moderator {
    rules: Rules,
}

#[chainlet]
impl Moderator {
    async fn init() -> Result<Self> {
        Ok(Self { rules: context::settings()? })
    }

    async fn run_remote(
        &'static self,
        prompt: String,
        max_words: u32,
    ) -> (StreamReader<String>, FutureReader<Result<Tally, String>>) {
        let (mut tokens, finish) = model::run_remote(prompt, max_words).await.or_fail().await;
        wit::try_stream(async move |mut words| {
            let (mut sent, mut hidden) = (0, 0);
            let mut word = String::new();
            loop {
                let token = tokens.next().await;
                // A word is complete only when the next one begins.
                let is_whole = token.as_ref().is_none_or(|token| token.starts_with(' '));
                if is_whole && !word.is_empty() {
                    let verdict = self.rules.judge(&word);
                    hidden += u32::from(matches!(verdict, Verdict::Hide(_)));
                    let shown = match verdict {
                        Verdict::Say => std::mem::take(&mut word),
                        Verdict::Hide(hidden) => hidden,
                        // Returning drops `tokens`, so the model learns that the reader has left.
                        Verdict::Refuse(word) => return Err(format!("the next word would have been `{word}`")),
                    };
                    word.clear();
                    if !words.send(shown).await {
                        break;
                    }
                    sent += 1;
                }
                match token {
                    Some(token) => word.push_str(&token),
                    None => break,
                }
            }
            // Drop the rest of the tokens, so that the model does not wait for a reader.
            drop(tokens);
            Ok(Tally { words: sent, hidden, finish: finish.await })
        })
    }
}

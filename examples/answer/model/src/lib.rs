//! `model`: asks a language model over HTTP, with the protocol of `/v1/chat/completions`.

mod completion;

use std::time::Duration;

use chainlet::context::{self, Secret};
use chainlet::http::{self, Response};
use chainlet::{Error, FutureReader, Result, StreamReader, chainlet, time};
use completion::Completion;
use serde::Deserialize;
use serde_json::json;

/// `[chainlets.NAME.config]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The address of the server's `/v1/chat/completions`.
    url: String,
    /// The name of the model on that server.
    model: String,
    /// The longest time until the first token, in milliseconds.
    first_token: u64,
    /// The most tokens of an answer.
    max_tokens: u32,
}

struct Writer {
    key: Secret,
    settings: Settings,
}

#[chainlet]
impl Writer {
    async fn init() -> Result<Self> {
        Ok(Self { key: context::secret("model_key")?, settings: context::settings()? })
    }

    /// Returns when the first token has come. Until then, the caller can choose another model.
    async fn run_remote(
        &self,
        system: String,
        prompt: String,
    ) -> Result<(StreamReader<String>, FutureReader<Result<Finish, wit::Error>>)> {
        let limit = Duration::from_millis(self.settings.first_token);
        let first = async {
            let mut completion = Completion::new(self.ask(&system, &prompt).await?);
            // Nothing is written yet, so another attempt or another model can take over after any error.
            let first = completion.next().await.map_err(|broken| Error::unavailable(broken.message()))?;
            Ok::<_, Error>((first, completion))
        };
        let late = |_| Error::timeout(format!("the model wrote nothing within {limit:?}"));
        let (first, mut completion) = time::timeout(limit, first).await.map_err(late)??;
        // If the reader leaves, this closure and its connection are dropped, so the server stops as well.
        Ok(wit::try_stream(async move |mut tokens| {
            let mut token = first;
            while let Some(text) = token {
                if !tokens.send(text).await {
                    break;
                }
                token = completion.next().await?;
            }
            Ok(completion.finish())
        }))
    }
}

impl Writer {
    /// Sends the request, and checks the status of the answer.
    async fn ask(&self, system: &str, prompt: &str) -> Result<Response> {
        let answer = http::post(&self.settings.url)
            .bearer(self.key.expose())
            .header("accept", "text/event-stream")
            .json(&json!({
                "model": self.settings.model,
                "stream": true,
                "max_tokens": self.settings.max_tokens,
                "messages": [{ "role": "system", "content": system }, { "role": "user", "content": prompt }],
            }))
            .send()
            .await
            .map_err(|error| Error::unavailable(format!("the model's server is not reached: {}", error.message())))?;
        // The body of a rejection is not passed on, because servers repeat parts of the key in it. No error is marked
        // as repeatable, because `retry_on` in chain.toml decides which of them deserve another attempt.
        match answer.status().as_u16() {
            200 => Ok(answer),
            401 | 403 => {
                Err(Error::upstream("the model's server refuses the key: set the secret `model_key` to a valid one"))
            }
            429 => Err(Error::too_many("the model's server is overloaded")),
            status @ 500.. => Err(Error::unavailable(format!("the model's server answered with {status}"))),
            status => Err(Error::upstream(format!("the model's server answered with {status}"))),
        }
    }
}

//! `model`: asks a language model over HTTP, by the protocol of `/v1/chat/completions`.

mod completion;
mod http;
mod time;

use std::time::Duration;

use chainlet::context::{self, Secret};
use chainlet::{FutureReader, Result, StreamReader, chainlet};
use completion::Completion;
use http::{Answer, Url};
use serde::Deserialize;
use serde_json::json;
use time::{while_wanted, within};

/// `[chainlets.NAME.config]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The address of the server's `/v1/chat/completions`.
    url: String,
    /// The name of the model there.
    model: String,
    /// How many milliseconds the first token may take.
    first_token: u64,
    /// The most tokens of an answer.
    max_tokens: u32,
}

struct Writer {
    url: Url,
    key: Secret,
    settings: Settings,
}

#[chainlet]
impl Writer {
    async fn init() -> Result<Self> {
        let settings: Settings = context::settings()?;
        Ok(Self { url: Url::parse(&settings.url)?, key: context::secret("model_key")?, settings })
    }

    /// Returns when the first token has come: until then the caller can choose another model.
    async fn run_remote(
        &self,
        system: String,
        prompt: String,
    ) -> Result<(StreamReader<String>, FutureReader<Result<Finish, Error>>), Error> {
        let limit = Duration::from_millis(self.settings.first_token);
        let first = async {
            let mut completion = Completion::new(self.ask(&system, &prompt).await?);
            // Nothing is written yet, so another attempt or another model can take over, whatever went wrong.
            let first = completion.next().await.map_err(|broken| Error { kind: ErrorKind::Unavailable, ..broken })?;
            Ok::<_, Error>((first, completion))
        };
        let Some(first) = while_wanted(within(limit, first)).await.ok_or_else(unwanted)? else {
            return Err(error(ErrorKind::Timeout, format!("the model wrote nothing within {limit:?}")));
        };
        let (first, mut completion) = first?;
        Ok(wit::try_stream(async move |mut tokens| {
            let write = async {
                let mut token = first;
                while let Some(text) = token {
                    if !tokens.send(text).await {
                        return Err(unwanted());
                    }
                    token = completion.next().await?;
                }
                Ok(completion.finish())
            };
            // What this drops includes the connection, so the server stops, too.
            while_wanted(write).await.ok_or_else(unwanted)?
        }))
    }
}

impl Writer {
    /// Sends the request, and checks how the server answers.
    async fn ask(&self, system: &str, prompt: &str) -> Result<Answer, Error> {
        let body = json!({
            "model": self.settings.model,
            "stream": true,
            "max_tokens": self.settings.max_tokens,
            "messages": [{ "role": "system", "content": system }, { "role": "user", "content": prompt }],
        });
        let answer = http::post(&self.url, self.key.expose(), body.to_string())
            .await
            .map_err(|reason| error(ErrorKind::Unavailable, format!("the model's server is not reached: {reason}")))?;
        // The body of a refusal is not passed on: servers repeat parts of the key in it.
        match answer.status() {
            200 => Ok(answer),
            401 | 403 => Err(error(
                ErrorKind::Upstream,
                "the model's server refuses the key: set the secret `model_key` to a valid one".to_owned(),
            )),
            429 => Err(error(ErrorKind::TooMany, "the model's server is overloaded".to_owned())),
            status @ 500.. => Err(error(ErrorKind::Unavailable, format!("the model's server answered with {status}"))),
            status => Err(error(ErrorKind::Upstream, format!("the model's server answered with {status}"))),
        }
    }
}

/// The outcome of a call whose caller has left. The host gives it to nobody.
fn unwanted() -> Error {
    error(ErrorKind::Unavailable, "the caller has left".to_owned())
}

/// An error that says nothing about a repetition: that is for `retry_on` in chain.toml.
fn error(kind: ErrorKind, message: String) -> Error {
    Error { kind, message, details: None, repeatable: false }
}

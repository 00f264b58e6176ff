//! Uses the SDK's functions for the outside world; see its WIT.

use std::time::Duration;

use bytes::Bytes;
use chainlet::http::{self, Error, Response};
use chainlet::retry::Policy;
use chainlet::{join_all, log, time};
use futures::stream;
use serde::Deserialize;
use serde_json::json;

#[derive(Default)]
struct Net;

#[derive(Deserialize)]
struct Answer {
    n: u64,
}

#[chainlet::chainlet]
impl Net {
    async fn run_remote(&self, what: String) -> chainlet::Result<String> {
        let (word, argument) = what.split_once(':').unwrap_or((&what, ""));
        if let Some(answer) = other(word, argument).await? {
            return Ok(answer);
        }
        request(word, argument).await.map_err(|error| format!("{:?}: {}", error.kind(), error.message()).into())
    }
}

/// Does the words that need no request, or that work after the answer.
async fn other(word: &str, argument: &str) -> chainlet::Result<Option<String>> {
    match word {
        "interval" => {
            let count: u32 = argument.parse()?;
            let mut ticks = time::interval(Duration::from_millis(5));
            for _ in 0..count {
                ticks.tick().await;
            }
        }
        "log" => {
            log::debug!("nobody reads this");
            let length = argument.len();
            log::warn!(length, word = "log"; "the guest says {argument}");
        }
        "spawn" => {
            let url = argument.to_owned();
            chainlet::spawn(async move {
                if let Err(error) = http::get(url).send().await {
                    log::error!("{}", error.message());
                }
            });
        }
        _ => return Ok(None),
    }
    Ok(Some(format!("did {word}")))
}

async fn request(word: &str, argument: &str) -> Result<String, Error> {
    let (number, rest) = number(argument);
    match word {
        "get" => get(argument).await,
        "text" => http::get(rest).send().await?.limit(number).text().await,
        "json" => {
            let answer = http::post(argument).json(&json!({ "n": 41 })).send().await?;
            let answer: Answer = answer.error_for_status()?.json().await?;
            Ok(answer.n.to_string())
        }
        "up" => {
            let pieces = stream::iter((0..number).map(|_| Bytes::from_static(&[b'x'; 1000])));
            http::post(rest).body_stream(pieces).send().await?.text().await
        }
        "down" => {
            let mut answer = http::get(argument).send().await?;
            let (mut pieces, mut bytes) = (0, 0);
            while let Some(piece) = answer.chunk().await? {
                pieces += 1;
                bytes += piece.len();
            }
            Ok(format!("{bytes} {}", pieces > 1))
        }
        "events" => {
            let mut events = http::get(argument).send().await?.error_for_status()?.events();
            let mut said = Vec::new();
            while let Some(event) = events.next().await? {
                said.push(format!("{}={}", event.name, event.data));
            }
            Ok(said.join(","))
        }
        "within" => {
            let limit = Duration::from_millis(number as u64);
            http::get(rest).timeout(limit).send().await?.text().await
        }
        "first" => {
            let limit = Duration::from_millis(number as u64);
            http::get(rest).first_byte_timeout(limit).send().await?.text().await
        }
        "many" => {
            let answers = join_all((0..number).map(|_| get(rest))).await;
            Ok(answers.iter().filter(|answer| answer.is_ok()).count().to_string())
        }
        "retry" => {
            let policy = Policy::new(u32::try_from(number).unwrap_or(1)).first_pause(Duration::from_millis(1));
            policy.run(async || http::get(rest).send().await?.error_for_status()?.text().await).await
        }
        "drop" => {
            let dropped = time::timeout(Duration::from_millis(50), http::get(argument).send()).await;
            Ok(format!("dropped: {}", dropped.is_err()))
        }
        _ => Ok(format!("net cannot `{word}`")),
    }
}

async fn get(url: &str) -> Result<String, Error> {
    let answer: Response = http::get(url).send().await?;
    let status = answer.status().as_u16();
    Ok(format!("{status} {}", answer.text().await?))
}

/// Splits `argument` into the number before its colon and the text after it.
fn number(argument: &str) -> (usize, &str) {
    let (number, rest) = argument.split_once(':').unwrap_or((argument, ""));
    (number.parse().unwrap_or(0), rest)
}

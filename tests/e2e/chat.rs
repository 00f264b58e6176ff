//! The chain of examples/stream, as it is in the repository. Its words come while the model still writes.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value as Json, json};

use crate::harness::{Chain, Served, json_request, repository};

fn served() -> Served {
    let mut command = Chain::new("").serve_command(&[]);
    // The command keeps its ports and environment, and runs in another folder.
    command.current_dir(repository().join("examples/stream"));
    Served::start(command)
}

/// An answer, read event by event.
struct Events {
    body: Incoming,
    here: Vec<u8>,
}

impl Events {
    async fn ask(served: &Served, input: &Json) -> Self {
        let mut request = json_request("/run_remote", input.to_string());
        request.headers_mut().insert(header::HOST, served.public.0.to_string().parse().unwrap());
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        let mut sender = served.public.http1().await.unwrap();
        let (head, body) = Response::into_parts(sender.send_request(request).await.unwrap());
        assert_eq!(head.status, 200);
        assert_eq!(head.headers[header::CONTENT_TYPE], "text/event-stream");
        Events { body, here: Vec::new() }
    }

    /// Returns the name and the data of the next event.
    async fn next(&mut self) -> (String, Json) {
        let event = loop {
            if let Some(end) = self.here.windows(2).position(|bytes| bytes == b"\n\n") {
                let event: Vec<u8> = self.here.drain(..end + 2).collect();
                break String::from_utf8(event).unwrap();
            }
            let frame = self.body.frame().await.expect("the answer stopped without an event for its end").unwrap();
            self.here.extend_from_slice(&frame.into_data().unwrap_or_else(|_| Bytes::new()));
        };
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        (field("event").unwrap_or("message").to_owned(), serde_json::from_str(field("data").unwrap()).unwrap())
    }

    /// Returns the words, and then the name and the data of the event that follows them.
    async fn rest(mut self) -> (Vec<String>, String, Json) {
        let mut words = Vec::new();
        loop {
            match self.next().await {
                (name, Json::String(word)) if name == "message" => words.push(word),
                (name, data) => return (words, name, data),
            }
        }
    }
}

#[tokio::test]
async fn words_come_one_by_one_and_the_usage_comes_after_them() {
    let served = served();
    let events = Events::ask(&served, &json!({ "prompt": "She danced with Mr.", "max_words": 5 })).await;
    let (words, end, usage) = events.rest().await;
    assert_eq!(words, [" •••••", " before", " they", " met.", " Elizabeth,"]);
    assert_eq!(end, "end");
    assert_eq!(usage, json!({ "prompt_words": 4, "words": 5, "hidden": 1, "finish": "length" }));
}

#[tokio::test]
async fn a_forbidden_word_is_an_error_after_the_words_before_it() {
    let served = served();
    let (words, end, problem) = Events::ask(&served, &json!({ "prompt": "What did Mr." })).await.rest().await;
    assert_eq!(words.concat(), " ••••• give you present relief? A glass of");
    assert_eq!(end, "error");
    assert_eq!(problem["type"], "urn:chainhost:problem:chainlet-error");
    assert_eq!(problem["error"], "the next word would have been `wine`");
    // The model has learnt through the filter that nobody reads any more.
    served.until_log("the reader left after").await;
}

#[tokio::test]
async fn the_model_stops_when_its_reader_hangs_up() {
    let served = served();
    let mut events = Events::ask(&served, &json!({ "prompt": "It is a truth", "max_words": 1000 })).await;
    assert_eq!(events.next().await, ("message".to_owned(), json!(" universally")));
    drop(events);
    served.until_log("the reader left after").await;
}

#[tokio::test]
async fn an_invalid_prompt_is_refused_before_anything_is_streamed() {
    let served = served();
    let refused = async |input: Json| served.public.call(&input).await.problem(422, "chainlet-error")["error"].clone();
    assert_eq!(refused(json!({ "prompt": " " })).await, "empty_prompt");
    assert_eq!(refused(json!({ "prompt": "x".repeat(1001) })).await, json!({ "prompt_too_long": 1000 }));
    assert_eq!(refused(json!({ "prompt": "x", "max_words": 0 })).await, json!({ "max_words_out_of_range": 1000 }));
}

//! The chain of examples/answer, as it is in the repository, with a stand-in for the server of its models.

use std::net::Ipv4Addr;
use std::time::Duration;

use answer_stand_in::{Behaviour, StandIn, app};
use futures::future::join_all;
use http::header;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;

use crate::harness::{Answer, Chain, End, Event, Served, component, eventually, repository};

const KEY: &str = "a-key-that-no-log-may-show";
const QUESTION: &str = "For how long may I keep a book?";
const TEXT: &str = "You may keep a book for three weeks. [1]";

/// A model that writes without pauses.
const QUICK: Behaviour = Behaviour { first_token: 0, between: 0, refuse: false, break_after: None };
/// A model that writes its first token only after the test is over.
const SLOW: Behaviour = Behaviour { first_token: 600_000, ..QUICK };
/// A model that writes its second token only after the test is over.
const STALLED: Behaviour = Behaviour { between: 600_000, ..QUICK };
const OVERLOADED: Behaviour = Behaviour { refuse: true, ..QUICK };

/// The chain and the server of its models.
struct Answers {
    served: Served,
    stand_in: StandIn,
}

impl Answers {
    async fn start() -> Self {
        Self::start_with(KEY, |text| text).await
    }

    /// Starts the chain with a key and with changes of its chain.toml.
    async fn start_with(key: &str, change: impl FnOnce(String) -> String) -> Self {
        let stand_in = StandIn::new(KEY, QUICK);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let routes = app(stand_in.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });

        let example = repository().join("examples/answer");
        let text = std::fs::read_to_string(example.join("chain.toml")).unwrap();
        let text = replaced(&text, "127.0.0.1:8090", &address);
        let text = replaced(&text, "documents/", example.join("documents").to_str().unwrap());
        let guests = component("answer");
        let text = replaced(&text, "../../target/wasm32-wasip2/release", guests.parent().unwrap().to_str().unwrap());
        let chain = Chain::new("");
        chain.write("chain.toml", change(text));
        let mut command = chain.serve_command(&[]);
        command.env("MODEL_KEY", key);
        let served = tokio::task::spawn_blocking(move || Served::start(command)).await.unwrap();
        Answers { served, stand_in }
    }

    /// Asks a question, and reads the head of the answer.
    async fn open(&self, question: &str) -> Answer {
        self.served.public.stream("text/event-stream", &json!({ "question": question })).await
    }

    /// Asks a question, and reads the answer to its end.
    async fn ask(&self, question: &str) -> Read {
        let answer = self.open(question).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers[header::CONTENT_TYPE], "text/event-stream");
        Read::all(answer).await
    }

    /// Returns the number of requests to a model, including those that it refused.
    fn requests(&self, model: &str) -> usize {
        self.stand_in.counts(model).requests
    }

    /// Waits until the clients of `count` unfinished answers of a model have left.
    async fn until_left(&self, model: &str, count: usize) {
        eventually("the connections are closed", async || (self.stand_in.counts(model).left == count).then_some(()))
            .await;
    }
}

/// An answer that was read to its end.
#[derive(Debug)]
struct Read {
    sources: Vec<Json>,
    text: String,
    /// The name and the data of the last event.
    end: (String, Json),
}

impl Read {
    async fn all(mut answer: Answer) -> Self {
        let (mut sources, mut text) = (Vec::new(), String::new());
        loop {
            let Event { name, data } = answer.event().await.unwrap();
            if name != "message" {
                assert_eq!(answer.event().await.unwrap_err(), End::Whole);
                return Read { sources, text, end: (name, data) };
            }
            match (&data["source"], &data["text"]) {
                (Json::Null, Json::String(token)) => text.push_str(token),
                (source, Json::Null) => {
                    assert_eq!(text, "", "all sources come before the text");
                    sources.push(source.clone());
                }
                _ => panic!("{data}"),
            }
        }
    }

    /// Returns the data of the last event of a complete answer.
    #[track_caller]
    fn usage(&self) -> &Json {
        assert_eq!(self.end.0, "end", "{self:?}");
        &self.end.1
    }

    /// Returns the problem at the end of an answer that failed.
    #[track_caller]
    fn problem(&self) -> &Json {
        assert_eq!(self.end.0, "error", "{self:?}");
        &self.end.1
    }
}

#[track_caller]
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in chain.toml");
    text.replace(from, to)
}

#[tokio::test]
async fn an_answer_has_its_sources_then_its_text_and_then_its_usage() {
    let answers = Answers::start().await;
    let read = answers.ask(QUESTION).await;
    assert_eq!(read.text, TEXT);
    assert_eq!(*read.usage(), json!({ "model": "primary", "finish": "stop", "cached": false, "without": [] }));
    let first = &read.sources[0];
    assert_eq!((&first["number"], &first["document"]), (&json!(1), &json!("loans")));
    assert_eq!(first["found_by"], json!(["index", "keywords"]));
    assert!(first["text"].as_str().unwrap().contains("three weeks"));
    assert!(read.sources.len() <= 4);
}

#[tokio::test]
async fn tokens_come_while_the_model_still_writes() {
    let answers = Answers::start().await;
    answers.stand_in.behave("large", STALLED);
    let mut answer = answers.open(QUESTION).await;
    loop {
        if let Json::String(token) = &answer.event().await.unwrap().data["text"] {
            assert_eq!(token, "You ");
            break;
        }
    }
    assert_eq!(answers.stand_in.counts("large").complete, 0);
}

#[tokio::test]
async fn an_overloaded_model_is_not_asked_twice_and_the_fallback_answers() {
    let answers = Answers::start().await;
    answers.stand_in.behave("large", OVERLOADED);
    let read = answers.ask(QUESTION).await;
    assert_eq!((read.text.as_str(), &read.usage()["model"]), (TEXT, &json!("fallback")));
    assert_eq!((answers.requests("large"), answers.requests("small")), (1, 1));
}

#[tokio::test]
async fn a_model_that_is_slow_to_begin_is_left_and_the_fallback_answers() {
    let answers = Answers::start_with(KEY, |text| replaced(&text, "first_token = 2000", "first_token = 100")).await;
    answers.stand_in.behave("large", SLOW);
    let read = answers.ask(QUESTION).await;
    assert_eq!((read.text.as_str(), &read.usage()["model"]), (TEXT, &json!("fallback")));
    answers.until_left("large", 1).await;
}

#[tokio::test]
async fn if_both_models_refuse_the_error_has_the_status_of_its_kind() {
    let answers = Answers::start().await;
    answers.stand_in.behave("large", OVERLOADED);
    answers.stand_in.behave("small", OVERLOADED);
    let problem = answers.served.public.call(&json!({ "question": QUESTION })).await.problem(429, "chainlet-error");
    assert_eq!(problem["error"]["kind"], "too_many");
    assert_eq!(problem["chainlet"], "fallback");
}

#[tokio::test]
async fn an_unreachable_server_is_tried_twice_by_each_edge() {
    let answers = Answers::start_with(KEY, |text| {
        // Nothing listens on port 1.
        let start = text.find("127.0.0.1:").unwrap();
        let end = start + text[start..].find('"').unwrap();
        text.replace(&text[start..end], "127.0.0.1:1")
    })
    .await;
    let problem = answers.served.public.call(&json!({ "question": QUESTION })).await.problem(503, "chainlet-error");
    assert_eq!(problem["error"]["kind"], "unavailable");
    let tries = |chainlet: &str| {
        let log = answers.served.log();
        log.lines().filter(|line| line.contains(chainlet) && line.contains("cannot be reached")).count()
    };
    let twice = async || {
        let tries = (tries("chainlet=primary"), tries("chainlet=fallback"));
        (tries == (2, 2)).then_some(())
    };
    eventually("each of the four tries is in the log", twice).await;
}

#[tokio::test]
async fn a_text_that_breaks_off_ends_with_an_error_and_is_not_kept() {
    let answers = Answers::start().await;
    answers.stand_in.behave("large", Behaviour { break_after: Some(3), between: 20, ..QUICK });
    let read = answers.ask(QUESTION).await;
    assert!(TEXT.starts_with(&read.text) && read.text != TEXT, "{read:?}");
    let problem = read.problem();
    assert_eq!((&problem["status"], &problem["error"]["kind"]), (&json!(502), &json!("upstream")));
    assert!(problem["detail"].as_str().unwrap().contains("broke off"));

    answers.stand_in.behave("large", QUICK);
    let read = answers.ask(QUESTION).await;
    assert_eq!((read.text.as_str(), &read.usage()["cached"]), (TEXT, &json!(false)));
}

#[tokio::test]
async fn a_text_that_breaks_off_before_its_first_token_leads_to_the_fallback() {
    let answers = Answers::start().await;
    answers.stand_in.behave("large", Behaviour { break_after: Some(0), ..QUICK });
    let read = answers.ask(QUESTION).await;
    assert_eq!((read.text.as_str(), &read.usage()["model"]), (TEXT, &json!("fallback")));
    assert_eq!((answers.requests("large"), answers.requests("small")), (2, 1));
}

#[tokio::test]
async fn a_text_that_stalls_ends_with_an_error_and_its_connection_is_closed() {
    let answers =
        Answers::start_with(KEY, |text| replaced(&text, "item_timeout = \"5s\"", "item_timeout = \"200ms\"")).await;
    answers.stand_in.behave("large", STALLED);
    let read = answers.ask(QUESTION).await;
    assert_eq!(read.problem()["type"], "urn:chainhost:problem:deadline");
    assert_eq!(read.problem()["chainlet"], "primary");
    answers.until_left("large", 1).await;
    answers.stand_in.behave("large", QUICK);
    assert_eq!(answers.ask(QUESTION).await.text, TEXT);
}

#[tokio::test]
async fn equal_questions_at_once_ask_the_model_once() {
    let answers = Answers::start().await;
    answers.stand_in.behave("large", Behaviour { first_token: 300, between: 5, ..QUICK });
    let questions = ["for how long may I keep a book?", QUESTION, "For how long  may I keep a BOOK? "];
    let all = join_all(questions.iter().cycle().take(12).map(|question| answers.ask(question))).await;
    assert!(all.iter().all(|read| read.text == TEXT && read.sources == all[0].sources));
    assert_eq!(all.iter().filter(|read| read.usage()["cached"] == false).count(), 1);
    assert_eq!(answers.requests("large"), 1);
    assert_eq!(answers.ask(QUESTION).await.usage()["cached"], true);
    assert_eq!(answers.requests("large"), 1);
}

#[tokio::test]
async fn a_client_that_hangs_up_gives_its_turn_to_the_next_one() {
    let answers = Answers::start().await;
    answers.stand_in.behave("large", STALLED);
    let mut first = answers.open(QUESTION).await;
    first.event().await.unwrap();
    // The others wait for the answer of the first one.
    let others = async { join_all((0..3).map(|_| answers.ask(QUESTION))).await };
    let hangs_up = async {
        answers.served.until_state("answer", "active", json!(4)).await;
        answers.stand_in.behave("large", QUICK);
        drop(first);
    };
    let (others, ()) = futures::join!(others, hangs_up);
    assert!(others.iter().all(|read| read.text == TEXT));
    assert_eq!(answers.requests("large"), 2);
    answers.until_left("large", 1).await;
    answers.served.until_state("answer", "active", json!(0)).await;
    answers.served.until_state("primary", "active", json!(0)).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_before_the_first_token_leaves_nothing() {
    let answers = Answers::start_with(KEY, |text| replaced(&text, "first_token = 2000", "first_token = 60000")).await;
    answers.stand_in.behave("large", SLOW);
    // The client leaves while the server still waits for the head of the answer.
    let asked = tokio::time::timeout(Duration::from_millis(300), answers.open(QUESTION)).await;
    assert!(asked.is_err());
    answers.until_left("large", 1).await;
    answers.served.until_state("answer", "active", json!(0)).await;
    answers.stand_in.behave("large", QUICK);
    assert_eq!(answers.ask(QUESTION).await.text, TEXT);
}

#[tokio::test]
async fn an_answer_without_a_failed_retriever_is_complete_but_not_kept() {
    let answers = Answers::start().await;
    // The question is longer than `embed` accepts, so `index` fails.
    let question = "Please, ".repeat(40) + QUESTION;
    for _ in 0..2 {
        let read = answers.ask(&question).await;
        assert_eq!(read.text, TEXT);
        assert_eq!(
            *read.usage(),
            json!({ "model": "primary", "finish": "stop", "cached": false, "without": ["index"] })
        );
        assert!(read.sources.iter().all(|source| source["found_by"] == json!(["keywords"])));
    }
}

#[tokio::test]
async fn a_refused_key_is_a_clear_error_and_appears_in_no_log() {
    let wrong = "another-key-that-no-log-may-show";
    let answers = Answers::start_with(wrong, |text| text).await;
    let problem = answers.served.public.call(&json!({ "question": QUESTION })).await.problem(502, "chainlet-error");
    assert_eq!(problem["error"]["kind"], "upstream");
    assert!(problem["detail"].as_str().unwrap().contains("set the secret `model_key`"));
    assert_eq!(problem["chainlet"], "primary");
    // A fallback would only hide the mistake, so it is not asked.
    assert_eq!(answers.requests("small"), 0);
    answers.served.until_log("refuses the key").await;
    assert!(!answers.served.log().contains("that-no-log-may-show"));
}

#[tokio::test]
async fn an_invalid_question_is_refused_before_the_stream() {
    let answers = Answers::start().await;
    for question in [" ".to_owned(), "x".repeat(1001)] {
        let problem = answers.served.public.call(&json!({ "question": question })).await.problem(400, "chainlet-error");
        assert_eq!(problem["error"]["kind"], "invalid");
    }
    assert_eq!(answers.requests("large"), 0);
}

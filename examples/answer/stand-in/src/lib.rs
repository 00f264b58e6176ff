//! A stand-in for the server of a language model: it speaks the protocol, and copies its answers from the prompt.
//!
//! `POST /v1/chat/completions` with `stream: true` answers with server-sent events. Each model has a [`Behaviour`],
//! which `PUT /control/MODEL` sets, and [`Counts`], which `GET /control/MODEL` returns.

mod answer;
mod state;
mod stream;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

pub use answer::answer;
pub use state::{Behaviour, Counts, StandIn};

/// The body of a request for a text.
#[derive(Deserialize)]
struct Request {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    stream: bool,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: String,
}

/// Returns the routes of a stand-in.
pub fn app(stand_in: StandIn) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/control/{model}", get(counts).put(behave))
        .with_state(stand_in)
}

async fn complete(State(stand_in): State<StandIn>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let request: Request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let behaviour = stand_in.request(&request.model);
    if !stand_in.accepts(headers.get(header::AUTHORIZATION)) {
        return refusal(StatusCode::UNAUTHORIZED, "the key is wrong");
    }
    if behaviour.refuse {
        let mut refusal = refusal(StatusCode::TOO_MANY_REQUESTS, "the model is overloaded");
        refusal.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("2"));
        return refusal;
    }
    if !request.stream {
        return refusal(StatusCode::BAD_REQUEST, "this server only streams: set `stream` to true");
    }
    let prompt = request.messages.iter().rev().find(|message| message.role == "user");
    let text = answer(prompt.map_or("", |message| message.content.as_str()));
    let mut response = Response::new(Body::from_stream(stream::events(stand_in, request.model, behaviour, text)));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
    response
}

async fn counts(State(stand_in): State<StandIn>, Path(model): Path<String>) -> Response<Body> {
    json_response(StatusCode::OK, json!(stand_in.counts(&model)).to_string())
}

async fn behave(State(stand_in): State<StandIn>, Path(model): Path<String>, body: Bytes) -> Response<Body> {
    match serde_json::from_slice(&body) {
        Ok(behaviour) => {
            stand_in.behave(&model, behaviour);
            json_response(StatusCode::OK, json!(behaviour).to_string())
        }
        Err(error) => refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn refusal(status: StatusCode, message: &str) -> Response<Body> {
    json_response(status, json!({ "error": { "message": message } }).to_string())
}

fn json_response(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text + "\n"));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

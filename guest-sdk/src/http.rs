//! Sends HTTP requests to the hosts that chain.toml names.
//!
//! ```no_run
//! # #[derive(serde::Deserialize)] struct Weather { celsius: f64 }
//! # async fn example(key: &str) -> chainlet::Result<f64> {
//! use std::time::{Duration, Instant};
//! use chainlet::http;
//!
//! let weather: Weather = http::post("https://api.example.com/weather")
//!     .bearer(key)
//!     .json(&serde_json::json!({ "city": "Basel" }))
//!     .timeout(Duration::from_secs(5))
//!     .send()
//!     .await?
//!     .error_for_status()?
//!     .json()
//!     .await?;
//! # Ok(weather.celsius) }
//! ```
//!
//! ```toml
//! [chainlets.weather.network]
//! hosts = ["api.example.com"]
//! ```
//!
//! An instance may have any number of requests under way. The host keeps the connections, so there is no client to
//! share. Dropping a request cancels it. A body can be read and sent in pieces; see [`Response::chunk`] and
//! [`RequestBuilder::body_stream`]. [`Response::events`] reads server-sent events, the format in which most servers of
//! language models send streams.
//!
//! Requests carry the trace context of the running call.
//!
//! Outside a host, such as in a unit test on the developer's machine, no request can be sent.

mod body;
mod error;
mod events;
mod response;

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::Stream;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
pub use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use wasip3::http_compat::{http_from_wasi_response, http_into_wasi_request};

use self::body::{BodyStream, RequestBody, StopBody};
use self::error::Asked;
pub use self::error::{Error, ErrorKind};
pub use self::events::{Event, Events};
pub use self::response::Response;
use crate::{call, time};

/// Makes a `GET` request for this URL.
pub fn get(url: impl AsRef<str>) -> RequestBuilder {
    RequestBuilder::new(Method::GET, url)
}

/// Makes a `POST` request to this URL.
pub fn post(url: impl AsRef<str>) -> RequestBuilder {
    RequestBuilder::new(Method::POST, url)
}

/// Makes a `PUT` request to this URL.
pub fn put(url: impl AsRef<str>) -> RequestBuilder {
    RequestBuilder::new(Method::PUT, url)
}

/// Makes a `DELETE` request for this URL.
pub fn delete(url: impl AsRef<str>) -> RequestBuilder {
    RequestBuilder::new(Method::DELETE, url)
}

/// Makes a request of any method.
pub fn request(method: Method, url: impl AsRef<str>) -> RequestBuilder {
    RequestBuilder::new(method, url)
}

/// A request that is being built. [`send`](RequestBuilder::send) reports all mistakes in it.
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder {
    parts: Result<Parts, Error>,
    body: RequestBody,
    timeouts: Timeouts,
    /// The author's answer to whether it is idempotent. `None` leaves that to the method.
    idempotent: Option<bool>,
}

#[derive(Debug)]
struct Parts {
    method: Method,
    url: url::Url,
    headers: HeaderMap,
}

#[derive(Debug, Default, Clone, Copy)]
struct Timeouts {
    whole: Option<Duration>,
    first_byte: Option<Duration>,
    between_bytes: Option<Duration>,
}

impl RequestBuilder {
    fn new(method: Method, url: impl AsRef<str>) -> Self {
        let parts = url::Url::parse(url.as_ref())
            // The URL may contain a secret, so no error repeats it.
            .map_err(|error| Error::request(format!("the URL is malformed: {error}")))
            .and_then(|url| match url.scheme() {
                "http" | "https" => Ok(Parts { method, url, headers: HeaderMap::new() }),
                scheme => Err(Error::request(format!("`{scheme}` is not HTTP"))),
            });
        RequestBuilder { parts, body: RequestBody::Empty, timeouts: Timeouts::default(), idempotent: None }
    }

    fn change(mut self, change: impl FnOnce(&mut Parts) -> Result<(), Error>) -> Self {
        if let Ok(parts) = &mut self.parts
            && let Err(error) = change(parts)
        {
            self.parts = Err(error);
        }
        self
    }

    /// Adds a header.
    pub fn header(self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.change(|parts| {
            let name = HeaderName::try_from(name.as_ref())
                .map_err(|error| Error::request(format!("`{}` is no header: {error}", name.as_ref())))?;
            // The value may be a secret, so no error repeats it.
            let value = HeaderValue::try_from(value.as_ref())
                .map_err(|error| Error::request(format!("the value of the header {name} is malformed: {error}")))?;
            parts.headers.append(name, value);
            Ok(())
        })
    }

    /// Adds the header `authorization` with this token, in the scheme `Bearer`.
    pub fn bearer(self, token: impl AsRef<str>) -> Self {
        let value = format!("Bearer {}", token.as_ref());
        self.header(AUTHORIZATION, value)
    }

    /// Adds parameters to the query, such as `&[("q", "cats"), ("page", "2")]`.
    pub fn query<K: AsRef<str>, V: AsRef<str>>(self, parameters: impl IntoIterator<Item = (K, V)>) -> Self {
        self.change(|parts| {
            parts.url.query_pairs_mut().extend_pairs(parameters);
            Ok(())
        })
    }

    /// Sends `value` as JSON.
    pub fn json(mut self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => {
                self.body = RequestBody::Whole(body.into());
                self.change(|parts| {
                    parts.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
                    Ok(())
                })
            }
            Err(error) => self.change(|_| Err(Error::request(format!("the body cannot be written as JSON: {error}")))),
        }
    }

    /// Sends these bytes as the body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = RequestBody::Whole(body.into());
        self
    }

    /// Sends the pieces of this stream as they come. The answer may begin before the stream has ended.
    pub fn body_stream(mut self, body: impl Stream<Item = Bytes> + 'static) -> Self {
        self.body = RequestBody::Stream(BodyStream::new(body));
        self
    }

    /// Sets whether the request may be sent twice. By default, the method decides. Set it to true for a POST that
    /// computes something and changes nothing: then its errors are worth another attempt, even if the server may have
    /// begun.
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = Some(idempotent);
        self
    }

    /// Sets the longest time for the whole request, from sending it to the end of the answer's body.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeouts.whole = Some(time);
        self
    }

    /// Sets the longest time until the head of the answer has arrived.
    pub fn first_byte_timeout(mut self, time: Duration) -> Self {
        self.timeouts.first_byte = Some(time);
        self
    }

    /// Sets the longest time between two pieces of the answer's body.
    pub fn between_bytes_timeout(mut self, time: Duration) -> Self {
        self.timeouts.between_bytes = Some(time);
        self
    }

    /// Sends the request. Waits until the head of the answer has arrived, whatever its status.
    ///
    /// # Errors
    ///
    /// Fails if the request is malformed, if chain.toml does not allow it, or if the server gives no answer.
    /// [`Error::kind`] tells which.
    pub async fn send(self) -> Result<Response, Error> {
        let RequestBuilder { parts, body, timeouts, idempotent } = self;
        let Parts { method, url, mut headers } = parts?;
        let asked = Asked {
            text: format!("{method} {}", url.host_str().unwrap_or_default()),
            idempotent: idempotent.unwrap_or_else(|| method.is_idempotent()),
        };
        trace(&mut headers);
        length(&method, &body, &mut headers)?;
        let stop = StopBody::of(&body);
        let mut request = http::Request::builder()
            .method(method)
            .uri(url.as_str())
            .body(body)
            .map_err(|error| Error::request(format!("the request is malformed: {error}")))?;
        *request.headers_mut() = headers;
        if cfg!(not(target_arch = "wasm32")) {
            return Err(Error::request("there is no host that could send it".to_owned()));
        }
        let work = async {
            let request = http_into_wasi_request(request)
                .map_err(|code| Error::request(format!("the request is malformed: {code:?}")))?;
            let response = wasip3::http::client::send(request).await.map_err(Error::from_code)?;
            http_from_wasi_response(response).map_err(Error::from_code)
        };
        let started = Instant::now();
        let response = match [timeouts.whole, timeouts.first_byte].into_iter().flatten().min() {
            None => work.await,
            Some(limit) => time::timeout(limit, work).await.unwrap_or_else(|elapsed| Err(elapsed.into())),
        };
        let response = response.map_err(|error| error.of(&asked))?;
        stop.answered();
        let deadline = timeouts.whole.and_then(|limit| started.checked_add(limit).map(|end| (end, limit)));
        Ok(Response::new(response, asked, timeouts.between_bytes, deadline))
    }
}

/// Adds the length of the body, if it is known, because not all servers accept a body in pieces.
fn length(method: &Method, body: &RequestBody, headers: &mut HeaderMap) -> Result<(), Error> {
    let has_none = matches!(*method, Method::GET | Method::HEAD);
    match body {
        RequestBody::Empty if has_none => {}
        RequestBody::Whole(_) | RequestBody::Stream(_) if has_none => {
            return Err(Error::request(format!("a {method} has no body")));
        }
        RequestBody::Empty => drop(headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"))),
        RequestBody::Whole(bytes) => drop(headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()))),
        RequestBody::Stream(_) => {}
    }
    Ok(())
}

/// Adds the trace context of the running call, unless the request already has one.
fn trace(headers: &mut HeaderMap) {
    if headers.contains_key("traceparent") {
        return;
    }
    let Some(trace) = call::trace_context() else { return };
    for (name, value) in [("traceparent", trace.traceparent), ("tracestate", trace.tracestate)] {
        if !value.is_empty()
            && let Ok(value) = HeaderValue::try_from(value)
        {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(request: RequestBuilder) -> Parts {
        request.parts.unwrap()
    }

    #[test]
    fn a_query_is_added_to_an_existing_one() {
        let request = get("https://example.com/find?a=1").query([("q", "cats & dogs"), ("page", "2")]);
        assert_eq!(parts(request).url.as_str(), "https://example.com/find?a=1&q=cats+%26+dogs&page=2");
    }

    #[test]
    fn json_gets_its_content_type_unless_one_is_set() {
        let parts_of = |request: RequestBuilder| parts(request.json(&[1, 2])).headers;
        assert_eq!(parts_of(post("http://a/"))["content-type"], "application/json");
        assert_eq!(parts_of(post("http://a/").header("content-type", "text/x"))["content-type"], "text/x");
    }

    #[test]
    fn a_malformed_request_says_what_is_wrong_and_keeps_secrets() {
        let error = |request: RequestBuilder| request.parts.unwrap_err();
        assert!(error(get("http://a:secret@[b/")).message().starts_with("the URL is malformed"));
        assert!(!error(get("http://a:secret@[b/")).message().contains("secret"));
        assert_eq!(error(get("ftp://a/")).message(), "`ftp` is not HTTP");
        assert!(error(get("http://a/").header("a b", "c")).message().contains("`a b` is no header"));
        let error = error(get("http://a/").bearer("top\nsecret"));
        let secret = error.message();
        assert!(secret.contains("authorization") && !secret.contains("secret"), "{secret}");
    }

    #[test]
    fn a_body_of_known_length_has_a_content_length() {
        let headers = |method, body| {
            let mut headers = HeaderMap::new();
            length(&method, &body, &mut headers).map(|()| headers.get(CONTENT_LENGTH).cloned())
        };
        let whole = || RequestBody::Whole(Bytes::from_static(b"four"));
        assert_eq!(headers(Method::POST, whole()).unwrap().unwrap(), "4");
        assert_eq!(headers(Method::DELETE, RequestBody::Empty).unwrap().unwrap(), "0");
        assert_eq!(headers(Method::GET, RequestBody::Empty).unwrap(), None);
        assert_eq!(headers(Method::GET, whole()).unwrap_err().message(), "a GET has no body");
    }

    #[test]
    fn outside_a_host_no_request_is_sent() {
        let error = futures::executor::block_on(get("http://127.0.0.1/").send()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Request);
    }
}

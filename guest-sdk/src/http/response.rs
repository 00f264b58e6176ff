//! Answers and their bodies.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use serde::de::DeserializeOwned;
use wasip3::http_compat::IncomingResponseBody;

use super::error::Asked;
use super::{Error, ErrorKind, Events};
use crate::time::{self, Elapsed};

/// The default limit of a body that is read as a whole, in bytes.
const LIMIT: usize = 16 * 1024 * 1024;

/// The answer to a request. Its body has not been read yet.
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: IncomingResponseBody,
    /// The facts about the request, for errors.
    asked: Asked,
    between_bytes: Option<Duration>,
    /// The time at which all of the answer must have arrived, and the timeout that led to it.
    deadline: Option<(Instant, Duration)>,
    limit: usize,
}

impl Response {
    pub(super) fn new(
        response: http::Response<IncomingResponseBody>,
        asked: Asked,
        between_bytes: Option<Duration>,
        deadline: Option<(Instant, Duration)>,
    ) -> Self {
        let (parts, body) = response.into_parts();
        Response { status: parts.status, headers: parts.headers, body, asked, between_bytes, deadline, limit: LIMIT }
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the answer, if its status is below 400.
    ///
    /// # Errors
    ///
    /// Fails with [`ErrorKind::Status`] if the status is 400 or above. The error contains the time in the server's
    /// `retry-after`.
    pub fn error_for_status(self) -> Result<Self, Error> {
        if !self.status.is_client_error() && !self.status.is_server_error() {
            return Ok(self);
        }
        Err(Error::of_status(self.status, retry_after(&self.headers)).of(&self.asked))
    }

    /// Sets the limit in bytes for functions that read the whole body, and for a single server-sent event. The default
    /// is 16 MiB.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Returns the next piece of the body as it arrives; `None` at the end of the body.
    ///
    /// # Errors
    ///
    /// Fails if the body breaks off, or if the server takes too long.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let body = &mut self.body;
            let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
            let left = self.deadline.map(|(end, _)| end.saturating_duration_since(Instant::now()));
            let limit = [self.between_bytes, left].into_iter().flatten().min();
            let frame = match limit {
                None => frame.await,
                Some(limit) => match time::timeout(limit, frame).await {
                    Ok(frame) => frame,
                    Err(elapsed) => {
                        // Names the limit that has passed: one of two.
                        let whole = self.deadline.filter(|(end, _)| Instant::now() >= *end);
                        let elapsed = whole.map_or(elapsed, |(_, limit)| Elapsed::new(limit));
                        return Err(Error::from(elapsed).of(&self.asked));
                    }
                },
            };
            match frame {
                None => return Ok(None),
                Some(Err(code)) => return Err(Error::from_code(code).of(&self.asked)),
                // Trailers are not data.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Ok(Some(data)),
                    Err(_) => {}
                },
            }
        }
    }

    /// Returns the whole body.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`chunk`](Response::chunk), and with [`ErrorKind::TooLarge`] if the body has more
    /// bytes than [`limit`](Response::limit) allows.
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if whole.len() + chunk.len() > self.limit {
                let message = format!("the body has more than {} bytes", self.limit);
                return Err(Error::new(ErrorKind::TooLarge, message).of(&self.asked));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// Returns the whole body as text.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`bytes`](Response::bytes), and with [`ErrorKind::Decode`] if the body is not UTF-8.
    pub async fn text(self) -> Result<String, Error> {
        let asked = self.asked.clone();
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into()).map_err(|_| Error::new(ErrorKind::Decode, "the body is not UTF-8").of(&asked))
    }

    /// Returns the whole body as JSON of the type `T`.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`bytes`](Response::bytes), and with [`ErrorKind::Decode`] if the body is not JSON of
    /// this type.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        let asked = self.asked.clone();
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::new(ErrorKind::Decode, format!("the body does not fit: {error}")).of(&asked))
    }

    /// Returns the body as server-sent events.
    pub fn events(self) -> Events {
        Events::new(self)
    }

    pub(super) fn asked(&self) -> &Asked {
        &self.asked
    }

    pub(super) fn body_limit(&self) -> usize {
        self.limit
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response").field("status", &self.status).field("headers", &self.headers).finish_non_exhaustive()
    }
}

/// Returns the server's `retry-after`, if it is in seconds. A date is ignored, because clocks differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

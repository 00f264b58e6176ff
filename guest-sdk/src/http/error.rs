//! Why a request got no answer, or not the one that was wanted.

use std::time::Duration;

use http::{Method, StatusCode};
use wasip3::http::types::ErrorCode;

use crate::retry::Repeatable;
use crate::time::Elapsed;

/// Why a request got no answer, or not the one that was wanted.
///
/// With `?` it turns into [`chainlet::Error`](crate::Error), which keeps what it
/// is: a timeout stays one, any other fault of the server is of the kind
/// `upstream`, and an error that is worth another attempt says so. That is why it
/// is not `Display`: everything that is becomes `unprocessable`.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    status: Option<StatusCode>,
    retry_after: Option<Duration>,
}

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is malformed, and was not sent.
    Request,
    /// chain.toml does not allow it; the host's log says what is missing.
    Denied,
    /// The server cannot be found or reached.
    Connect,
    /// The connection is not safe: its certificate, or the encryption itself.
    Tls,
    /// Something took too long.
    Timeout,
    /// The connection broke off, or the server does not speak HTTP.
    Protocol,
    /// The server answered with a status of 400 or more.
    Status,
    /// The body is longer than was asked for.
    TooLarge,
    /// The body is not what was asked for, such as JSON of a type.
    Decode,
}

impl Error {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), status: None, retry_after: None }
    }

    pub(super) fn request(message: String) -> Self {
        Error::new(ErrorKind::Request, message)
    }

    pub(super) fn of_status(status: StatusCode, retry_after: Option<Duration>) -> Self {
        let message = format!("the server answered {status}");
        Error { kind: ErrorKind::Status, message, status: Some(status), retry_after }
    }

    /// What the host says.
    pub(super) fn from_code(code: ErrorCode) -> Self {
        use ErrorCode as C;
        use ErrorKind as K;
        let kind = match &code {
            C::HttpRequestDenied | C::DestinationIpProhibited => K::Denied,
            C::DnsTimeout
            | C::ConnectionTimeout
            | C::ConnectionReadTimeout
            | C::ConnectionWriteTimeout
            | C::HttpResponseTimeout => K::Timeout,
            C::DnsError(_)
            | C::DestinationNotFound
            | C::DestinationUnavailable
            | C::DestinationIpUnroutable
            | C::ConnectionRefused
            | C::ConnectionLimitReached => K::Connect,
            C::TlsProtocolError | C::TlsCertificateError | C::TlsAlertReceived(_) => K::Tls,
            C::HttpRequestMethodInvalid
            | C::HttpRequestUriInvalid
            | C::HttpRequestUriTooLong
            | C::HttpRequestHeaderSectionSize(_)
            | C::HttpRequestHeaderSize(_)
            | C::HttpRequestTrailerSectionSize(_)
            | C::HttpRequestTrailerSize(_)
            | C::HttpRequestLengthRequired
            | C::HttpRequestBodySize(_) => K::Request,
            _ => K::Protocol,
        };
        let what = match kind {
            K::Denied => "chain.toml does not allow it",
            K::Timeout => "the server took too long",
            K::Connect => "the server cannot be reached",
            K::Tls => "the connection is not safe",
            K::Request => "the request is malformed",
            _ => "the exchange broke off",
        };
        Error::new(kind, format!("{what}: {code:?}"))
    }

    /// The same error with the request in front.
    pub(super) fn of(mut self, method: &Method, server: &str) -> Self {
        self.message = format!("{method} {server}: {}", self.message);
        self
    }

    /// The same error with what was asked in front.
    pub(super) fn about(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// What went wrong, in a sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether something took too long.
    pub fn is_timeout(&self) -> bool {
        self.kind == ErrorKind::Timeout
    }

    /// The status that the server answered with, where that is the error.
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }
}

impl Repeatable for Error {
    /// What passes by itself: a server that cannot be reached, takes too long or
    /// breaks off, and the statuses 408, 429, 500, 502, 503 and 504. Whether the
    /// request may be sent twice is for its sender to say.
    fn is_repeatable(&self) -> bool {
        match self.kind {
            ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::Protocol => true,
            ErrorKind::Status => {
                self.status.is_some_and(|status| matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504))
            }
            _ => false,
        }
    }

    fn retry_delay(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl From<Elapsed> for Error {
    fn from(elapsed: Elapsed) -> Self {
        Error::new(ErrorKind::Timeout, elapsed.message())
    }
}

impl From<Error> for crate::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind {
            ErrorKind::Timeout => crate::ErrorKind::Timeout,
            // A mistake of this chainlet, or of who deploys it.
            ErrorKind::Request | ErrorKind::Denied => crate::ErrorKind::Internal,
            _ => crate::ErrorKind::Upstream,
        };
        let (repeatable, delay) = (error.is_repeatable(), error.retry_after);
        crate::Error::new(kind, error.message).repeatable(repeatable).retry_in(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_what_it_is_as_the_error_of_a_chainlet() {
        let delay = Some(Duration::from_secs(3));
        let error = crate::Error::from(Error::of_status(StatusCode::TOO_MANY_REQUESTS, delay));
        assert_eq!((error.kind(), error.is_repeatable()), (crate::ErrorKind::Upstream, true));
        assert_eq!(error.retry_delay(), delay);
        let error = crate::Error::from(Error::from(crate::time::Elapsed::new(Duration::from_secs(1))));
        assert_eq!(error.kind(), crate::ErrorKind::Timeout);
        let error = crate::Error::from(Error::from_code(ErrorCode::HttpRequestDenied));
        assert_eq!((error.kind(), error.is_repeatable()), (crate::ErrorKind::Internal, false));
    }
}

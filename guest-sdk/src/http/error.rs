//! Why a request got no answer, or not the one that was wanted.

use std::time::Duration;

use http::StatusCode;
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
    /// The server does the same whether it gets the request once or twice.
    idempotent: bool,
}

/// The request that an error is of.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Its method and its server. The path and the query may hold what is secret.
    pub text: String,
    /// True if it may be sent twice.
    pub idempotent: bool,
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
        Error { kind, message: message.into(), status: None, retry_after: None, idempotent: false }
    }

    pub(super) fn request(message: String) -> Self {
        Error::new(ErrorKind::Request, message)
    }

    pub(super) fn of_status(status: StatusCode, retry_after: Option<Duration>) -> Self {
        let message = format!("the server answered {status}");
        Error { kind: ErrorKind::Status, message, status: Some(status), retry_after, idempotent: false }
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

    /// The error of `request`.
    pub(super) fn of(mut self, request: &Asked) -> Self {
        self.message = format!("{}: {}", request.text, self.message);
        self.idempotent = request.idempotent;
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
    /// If the server has not begun: it cannot be reached, or answers 429 or 503.
    /// If it may have begun, because it takes too long, breaks off, or answers
    /// 408, 500, 502 or 504: only for a request that may be sent twice, which is
    /// one of an idempotent method (GET, PUT, DELETE and the like), or one that
    /// says so with [`idempotent`](super::RequestBuilder::idempotent).
    fn is_repeatable(&self) -> bool {
        match (self.kind, self.status.map(|status| status.as_u16())) {
            (ErrorKind::Connect, _) | (ErrorKind::Status, Some(429 | 503)) => true,
            (ErrorKind::Timeout | ErrorKind::Protocol, _) => self.idempotent,
            (ErrorKind::Status, Some(408 | 500 | 502 | 504)) => self.idempotent,
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

    #[test]
    fn a_request_is_repeated_that_has_not_begun_or_may_be_sent_twice() {
        let errors = || {
            let statuses = [429, 503, 500, 504, 404]
                .map(|status| Error::of_status(StatusCode::from_u16(status).unwrap_or_default(), None));
            let codes = [ErrorCode::ConnectionRefused, ErrorCode::HttpResponseTimeout, ErrorCode::HttpProtocolError];
            codes.map(Error::from_code).into_iter().chain(statuses)
        };
        let repeated = |idempotent| {
            let asked = Asked { text: String::new(), idempotent };
            errors().map(|error| error.of(&asked).is_repeatable()).collect::<Vec<_>>()
        };
        assert_eq!(repeated(false), [true, false, false, true, true, false, false, false]);
        assert_eq!(repeated(true), [true, true, true, true, true, true, true, false]);
    }
}

//! The reasons why a request got no answer, or a wrong one.

use std::time::Duration;

use http::StatusCode;
use wasip3::http::types::ErrorCode;

use crate::retry::Repeatable;
use crate::time::Elapsed;

/// The reason why a request got no answer, or not the expected one.
///
/// `?` turns it into [`chainlet::Error`](crate::Error) and keeps its meaning: a
/// timeout stays a timeout, any other fault of the server is of the kind
/// `upstream`, and an error that is worth another attempt stays so. For this,
/// the type must not implement `Display`: errors with `Display` become
/// `unprocessable`.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    status: Option<StatusCode>,
    retry_after: Option<Duration>,
    /// True if the request may be sent twice, with the same effect as once.
    idempotent: bool,
}

/// The facts about a request that its errors need.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// The method and the server. The path and the query are left out, because
    /// they may contain secrets.
    pub text: String,
    /// True if the request may be sent twice.
    pub idempotent: bool,
}

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is malformed and was not sent.
    Request,
    /// chain.toml does not allow the request. The host's log says what is
    /// missing.
    Denied,
    /// The server cannot be found or reached.
    Connect,
    /// The connection is not safe: the certificate is wrong, or the encryption
    /// failed.
    Tls,
    /// Something took too long.
    Timeout,
    /// The connection broke off, or the server does not speak HTTP.
    Protocol,
    /// The server answered with a status of 400 or more.
    Status,
    /// The body is longer than the limit.
    TooLarge,
    /// The body is not of the expected format, such as JSON of a certain type.
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

    /// Converts an error of the host.
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

    /// Returns the error with the request that it belongs to.
    pub(super) fn of(mut self, request: &Asked) -> Self {
        self.message = format!("{}: {}", request.text, self.message);
        self.idempotent = request.idempotent;
        self
    }

    /// Returns what went wrong, in a sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns true if something took too long.
    pub fn is_timeout(&self) -> bool {
        self.kind == ErrorKind::Timeout
    }

    /// Returns the status of the server's answer, if that status is the error.
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }
}

impl Repeatable for Error {
    /// Returns true if the server has not begun: it cannot be reached, or it
    /// answered 429 or 503.
    ///
    /// The server may have begun if it took too long, broke off, or answered
    /// 408, 500, 502 or 504. Then this returns true only for requests that may
    /// be sent twice: those of an idempotent method (GET, PUT, DELETE and the
    /// like), and those marked with
    /// [`idempotent`](super::RequestBuilder::idempotent).
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
            // This chainlet or its chain.toml is wrong, and not the server.
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
    fn a_chainlets_error_keeps_kind_and_delay() {
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
    fn requests_that_have_not_begun_or_are_idempotent_are_repeatable() {
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

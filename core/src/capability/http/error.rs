//! The failures of a request as error codes of `wasi:http`.

use std::error::Error as StdError;
use std::io;

use hyper_util::client::legacy;
use wasmtime_wasi_http::Error;

use super::connect::ConnectError;

/// Returns the reason why a request got no answer.
pub(super) fn of_client(error: &legacy::Error) -> Error {
    let causes = || std::iter::successors(error.source(), |error| (*error).source());
    if let Some(cause) = causes().find_map(|cause| cause.downcast_ref::<ConnectError>()) {
        return of_connect(cause);
    }
    // The guest's own body may be at fault, as when it is longer than its headers said.
    if let Some(Error::HttpRequestBodySize(size)) = causes().find_map(|cause| cause.downcast_ref()) {
        return Error::HttpRequestBodySize(*size);
    }
    if let Some(error) = causes().find_map(tls_error) {
        return of_tls(error);
    }
    match causes().find_map(|cause| cause.downcast_ref::<hyper::Error>()) {
        Some(cause) => of_hyper(cause),
        None if error.is_connect() => Error::DestinationUnavailable,
        None => Error::InternalError(Some(error.to_string())),
    }
}

fn of_connect(error: &ConnectError) -> Error {
    match error {
        ConnectError::Uri => Error::HttpRequestUriInvalid,
        ConnectError::Lookup(error) => Error::DnsError { rcode: Some(error.to_string()), info_code: None },
        ConnectError::Prohibited => Error::DestinationIpProhibited,
        ConnectError::Timeout => Error::ConnectionTimeout,
        ConnectError::Connect(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => Error::DestinationIpUnroutable,
            io::ErrorKind::TimedOut => Error::ConnectionTimeout,
            _ => Error::DestinationUnavailable,
        },
    }
}

/// The error of TLS in `error`, which may be wrapped in several of input and output: they do not have it as their source.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => tls_error(error.get_ref()?),
        None => error.downcast_ref(),
    }
}

fn of_tls(error: &rustls::Error) -> Error {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => Error::TlsCertificateError,
        rustls::Error::AlertReceived(alert) => {
            Error::TlsAlertReceived { alert_id: Some(u8::from(*alert)), alert_message: Some(format!("{alert:?}")) }
        }
        _ => Error::TlsProtocolError,
    }
}

/// Returns the reason why an answer broke off.
pub(super) fn of_hyper(error: &hyper::Error) -> Error {
    if error.is_timeout() {
        Error::HttpResponseTimeout
    } else if error.is_incomplete_message() {
        Error::HttpResponseIncomplete
    } else if error.is_closed() || error.is_canceled() {
        Error::ConnectionTerminated
    } else {
        Error::HttpProtocolError
    }
}

/// True if a request was lost with its connection before any part of an answer came.
pub(super) fn is_lost(error: &legacy::Error) -> bool {
    let gone = |kind| {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
        matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
    };
    let mut causes = std::iter::successors(error.source(), |error| (*error).source());
    !error.is_connect()
        && causes.any(|cause| match (cause.downcast_ref::<hyper::Error>(), cause.downcast_ref::<io::Error>()) {
            (Some(cause), _) => cause.is_incomplete_message() || cause.is_closed() || cause.is_canceled(),
            (_, Some(cause)) => gone(cause.kind()),
            _ => false,
        })
}

//! The opening handshake of a WebSocket (RFC 6455, 4.2).

use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::server::list_header::has_token;
use crate::server::subprotocol;

/// The version of the protocol that the server speaks.
pub(in crate::server) const VERSION: &str = "13";

/// The reason why a handshake is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandshakeFault {
    /// The request does not ask for a WebSocket.
    NotAsked,
    /// The client speaks another version of the protocol. The answer has to name the version of the server.
    Version,
    /// The request is malformed, as the text says.
    Malformed(&'static str),
}

/// Returns true if the request asks for a WebSocket.
pub(super) fn is_asked(headers: &HeaderMap) -> bool {
    has_token(headers, header::UPGRADE, "websocket")
}

/// A valid handshake. It still has to be [answered](switching).
#[derive(Debug)]
pub(super) struct Handshake {
    /// The connection, which becomes a WebSocket after the answer.
    pub connection: OnUpgrade,
    pub answer: Answer,
}

/// The contents of the answer to a handshake.
#[derive(Debug)]
pub(super) struct Answer {
    /// The client's nonce.
    key: HeaderValue,
    /// True if the client has offered the [subprotocol](subprotocol::NAME). Then the server selects it.
    selects: bool,
}

/// Reads a handshake.
///
/// # Errors
/// Fails if the request is not a handshake of this version.
pub(super) fn accept(head: &mut Parts) -> Result<Handshake, HandshakeFault> {
    if !is_asked(&head.headers) {
        return Err(HandshakeFault::NotAsked);
    }
    if head.method != Method::GET || head.version != Version::HTTP_11 {
        return Err(HandshakeFault::Malformed("a WebSocket begins with a GET of HTTP/1.1"));
    }
    if !has_token(&head.headers, header::CONNECTION, "upgrade") {
        return Err(HandshakeFault::Malformed("the header Connection must name `Upgrade`"));
    }
    if only(&head.headers, header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        return Err(HandshakeFault::Version);
    }
    let key = only(&head.headers, header::SEC_WEBSOCKET_KEY)
        .filter(|key| STANDARD.decode(key.as_bytes()).is_ok_and(|nonce| nonce.len() == 16))
        .ok_or(HandshakeFault::Malformed("the header Sec-WebSocket-Key must be 16 bytes in base64, once"))?
        .clone();
    let selects = subprotocol::offered(&head.headers).map_err(HandshakeFault::Malformed)?.is_spoken;
    let connection = head.extensions.remove::<OnUpgrade>();
    let connection = connection.ok_or(HandshakeFault::Malformed("this connection cannot become a WebSocket"))?;
    Ok(Handshake { connection, answer: Answer { key, selects } })
}

/// Returns the response to a handshake.
pub(super) fn switching(Answer { key, selects }: &Answer) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::try_from(derive_accept_key(key.as_bytes())) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if *selects {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol::NAME));
    }
    response
}

/// Returns the value of a header that must be there exactly once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn fault(change: impl FnOnce(&mut HeaderMap)) -> HandshakeFault {
        let mut request = Request::get("/run_remote").body(()).unwrap();
        for (name, value) in [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ] {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        change(request.headers_mut());
        accept(&mut request.into_parts().0).map(drop).unwrap_err()
    }

    #[test]
    fn handshakes_that_break_the_rfc_are_rejected() {
        // Everything is right, except that there is no connection.
        assert_eq!(fault(|_| {}), HandshakeFault::Malformed("this connection cannot become a WebSocket"));
        assert_eq!(fault(|headers| drop(headers.remove("upgrade"))), HandshakeFault::NotAsked);
        assert!(matches!(fault(|headers| drop(headers.remove("connection"))), HandshakeFault::Malformed(_)));
        for version in ["8", "13, 8", ""] {
            let wrong = |headers: &mut HeaderMap| {
                headers.insert("sec-websocket-version", version.parse().unwrap());
            };
            assert_eq!(fault(wrong), HandshakeFault::Version, "{version}");
        }
        for key in ["", "dGhlIHNhbXBsZSBub25jZQ", "c2hvcnQ=", "not base64"] {
            let wrong = |headers: &mut HeaderMap| {
                headers.insert("sec-websocket-key", key.parse().unwrap());
            };
            assert!(
                matches!(fault(wrong), HandshakeFault::Malformed(text) if text.contains("Sec-WebSocket-Key")),
                "{key}"
            );
        }
        let twice = |headers: &mut HeaderMap| {
            headers.append("sec-websocket-key", HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        };
        assert!(matches!(fault(twice), HandshakeFault::Malformed(_)));
        let bearer_alone = |headers: &mut HeaderMap| {
            headers.insert("sec-websocket-protocol", HeaderValue::from_static("chainhost.bearer.YWRhPz8"));
        };
        assert!(matches!(fault(bearer_alone), HandshakeFault::Malformed(text) if text.contains("chainhost.v1")));
    }

    #[test]
    fn the_answer_shows_that_the_key_was_read() {
        // The example of RFC 6455, 1.3.
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        let response = switching(&Answer { key: key.clone(), selects: false });
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!response.headers().contains_key("sec-websocket-protocol"));
        let response = switching(&Answer { key, selects: true });
        assert_eq!(response.headers()["sec-websocket-protocol"], "chainhost.v1");
    }
}

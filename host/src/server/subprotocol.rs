//! The subprotocols of a WebSocket (RFC 6455, 1.9): the one that the server speaks, and one that carries an API key.
//!
//! The only header of a WebSocket handshake that a web page can set is `Sec-WebSocket-Protocol`. So the handshake may
//! show an API key there, as in Kubernetes:
//!
//! ```text
//! Sec-WebSocket-Protocol: chainhost.v1, chainhost.bearer.YWRhLTAxMjM0NTY3ODlhYmNkZWY
//! ```
//!
//! The server selects `chainhost.v1`. It never selects the other one, because its name would repeat the key in the
//! answer. If a browser has offered subprotocols and the server selects none, the browser drops the connection. So a
//! key without `chainhost.v1` is rejected.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};

use super::list_header::elements;

/// The subprotocol that the server speaks.
pub(super) const NAME: &str = "chainhost.v1";
/// The prefix of the subprotocol that carries a key in base64url, without padding.
const BEARER: &str = "chainhost.bearer.";

/// The subprotocols that a client offers and the server knows.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Offered {
    /// True if the client offers [`NAME`].
    pub is_spoken: bool,
    pub key: Option<Vec<u8>>,
}

/// Reads the subprotocols that a client offers.
///
/// # Errors
/// Fails if a key is malformed, if there are several, or if a key comes without [`NAME`]. The message contains no part
/// of the key.
pub(super) fn offered(headers: &HeaderMap) -> Result<Offered, &'static str> {
    let mut offered = Offered::default();
    for protocol in elements(headers, header::SEC_WEBSOCKET_PROTOCOL) {
        if protocol == NAME {
            offered.is_spoken = true;
        } else if let Some(encoded) = protocol.strip_prefix(BEARER) {
            let key = URL_SAFE_NO_PAD.decode(encoded).ok().filter(|key| !key.is_empty());
            let key = key
                .ok_or("the subprotocol `chainhost.bearer.` must end with the API key in base64url, without padding")?;
            if offered.key.replace(key).is_some() {
                return Err("a client may offer one subprotocol `chainhost.bearer.`, and offers several");
            }
        }
    }
    match offered {
        Offered { is_spoken: false, key: Some(_) } => {
            Err("a client that offers a subprotocol `chainhost.bearer.` must offer `chainhost.v1`, too")
        }
        offered => Ok(offered),
    }
}

impl fmt::Debug for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Offered { is_spoken, key } = self;
        f.debug_struct("Offered").field("is_spoken", is_spoken).field("has_key", &key.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Offered, &'static str> {
        let line = |line: &&str| (header::SEC_WEBSOCKET_PROTOCOL, line.parse().unwrap());
        offered(&lines.iter().map(line).collect())
    }

    #[test]
    fn a_protocol_and_a_key_are_read_in_any_order() {
        let both = Offered { is_spoken: true, key: Some(b"ada??".to_vec()) };
        assert_eq!(read(&["chainhost.v1, chainhost.bearer.YWRhPz8"]).unwrap(), both);
        assert_eq!(read(&["chainhost.bearer.YWRhPz8, other", "chainhost.v1"]).unwrap(), both);
        assert_eq!(read(&["chainhost.v1"]).unwrap(), Offered { is_spoken: true, key: None });
        assert_eq!(read(&["other"]).unwrap(), Offered::default());
        assert_eq!(read(&[]).unwrap(), Offered::default());
    }

    #[test]
    fn a_malformed_key_is_refused_and_not_repeated() {
        for (line, expected) in [
            ("chainhost.v1, chainhost.bearer.", "base64url"),
            ("chainhost.v1, chainhost.bearer.YWRhPz8=", "base64url"),
            ("chainhost.v1, chainhost.bearer.YWRh+/8", "base64url"),
            ("chainhost.v1, chainhost.bearer.YWRhPz8, chainhost.bearer.YWRhPz8", "several"),
            ("chainhost.bearer.YWRhPz8, chat", "chainhost.v1"),
        ] {
            let error = read(&[line]).unwrap_err();
            assert!(error.contains(expected) && !error.contains("YWRh"), "{line}: {error}");
        }
        let shown = format!("{:?}", read(&["chainhost.v1, chainhost.bearer.YWRhPz8"]).unwrap());
        assert_eq!(shown, "Offered { is_spoken: true, has_key: true }");
    }
}

//! The id of a request, which its answer, its problem and its log events contain.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries the id in requests and answers.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is accepted from a client.
const LONGEST: usize = 128;

/// The id of one request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RequestId {
    pub text: Arc<str>,
    pub header: HeaderValue,
}

impl RequestId {
    /// Returns the id that the client gave, if it is safe to repeat in headers and logs. Otherwise makes a new one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        headers.get(HEADER).and_then(Self::given).unwrap_or_else(Self::random)
    }

    fn given(header: &HeaderValue) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
        let text = header.to_str().ok()?;
        let sane = (1..=LONGEST).contains(&text.len()) && text.as_bytes().iter().all(plain);
        sane.then(|| RequestId { text: text.into(), header: header.clone() })
    }

    fn random() -> Self {
        let mut digits = [0; 32];
        let mut bits = fastrand::u128(..);
        for digit in &mut digits {
            *digit = match (bits % 16) as u8 {
                value @ 0..10 => b'0' + value,
                value => b'a' + value - 10,
            };
            bits /= 16;
        }
        // Hexadecimal digits are both text and a header value.
        let text = str::from_utf8(&digits).unwrap_or_default();
        let header = HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""));
        RequestId { text: text.into(), header }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &[u8]) -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(value).unwrap());
        RequestId::of(&headers)
    }

    #[test]
    fn a_sane_id_of_the_client_is_kept() {
        for id in ["a", "9b2c-44", "req:2025/07/01+x=1@host_1.2"] {
            assert_eq!(&*of(id.as_bytes()).text, id);
        }
    }

    #[test]
    fn an_id_that_could_confuse_a_log_is_replaced() {
        for id in [&b""[..], b"a b", b"a\"b", b"<script>", "ä".as_bytes(), &[b'x'; LONGEST + 1]] {
            let given = of(id);
            assert_eq!(given.text.len(), 32, "{given}");
        }
    }

    #[test]
    fn new_ids_differ() {
        let (one, other) = (RequestId::random(), RequestId::random());
        assert_ne!(one, other);
        assert!(one.text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(one.header, &*one.text);
    }
}

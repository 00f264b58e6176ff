//! API keys, which decide who may call.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use chainhost_core::bounded_file;
use http::{HeaderMap, HeaderName, header};

use super::list_header::has_token;
use super::subprotocol;

/// The header that contains only a key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// The scheme of an `Authorization` header that contains a key (RFC 6750).
const BEARER: &str = "Bearer ";
/// The length of the shortest allowed key, in characters: 96 random bits in base64. Shorter keys can be guessed.
const SHORTEST: usize = 16;

/// The API keys. A client must show one of them. Clones are handles of the same keys.
///
/// The server keeps only hashes of the keys, and compares them in constant time.
#[derive(Clone, Default)]
pub struct ApiKeys(Arc<RwLock<Vec<ApiKey>>>);

struct ApiKey {
    name: Arc<str>,
    hash: blake3::Hash,
}

/// The reason why keys can't be used. It contains no part of a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeysError {
    /// The file of keys can't be read.
    #[error("the API keys in {} can't be read: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        error: io::Error,
    },
    /// The file of keys has a line that is malformed, or the same name twice.
    #[error("{}:{line}: not a line of the form `name = \"key\"`, or a name that stands there twice", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A key is too short, or contains characters that cannot be sent.
    #[error(
        "the API key `{name}` must have at least {SHORTEST} characters, all of them visible ASCII, as HTTP headers hold \
         no others; `openssl rand -base64 32` makes one"
    )]
    Weak {
        /// The name of the key.
        name: String,
    },
    /// There is no key, so nobody could call.
    #[error("there is no API key, so that nobody could call; add a line `name = \"key\"`")]
    None,
}

/// The reason to reject a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyRefusal {
    /// The request shows no key.
    NoKey,
    /// The request shows a key that is not among the server's keys.
    WrongKey,
    /// The request shows its key in a malformed way, which the text describes.
    Malformed(&'static str),
}

impl ApiKeys {
    /// Makes keys with names. The log uses the names.
    ///
    /// # Errors
    ///
    /// Fails if there is no key, or if a key is too short or not visible ASCII.
    pub fn new<N: Into<String>, K: AsRef<str>>(keys: impl IntoIterator<Item = (N, K)>) -> Result<Self, ApiKeysError> {
        let keys = keys.into_iter().map(|(name, key)| ApiKey::new(name.into(), key.as_ref()));
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(ApiKeysError::None);
        }
        Ok(ApiKeys(Arc::new(RwLock::new(keys))))
    }

    /// Reads the keys from a file of `name = "key"` lines.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be read, and in the cases of [`ApiKeys::new`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ApiKeysError> {
        let path = path.as_ref();
        let read = || {
            let text = bounded_file::read(path, bounded_file::TEXT)?;
            String::from_utf8(text).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
        };
        let text = read().map_err(|error| ApiKeysError::Read { path: path.to_owned(), error })?;
        let keys: BTreeMap<String, String> = toml::from_str(&text).map_err(|error| {
            // The parser's message may quote the text, which may be a key. So only the line is kept.
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            ApiKeysError::Syntax { path: path.to_owned(), line: before.matches('\n').count() + 1 }
        })?;
        Self::new(keys)
    }

    /// Reads the keys from a text with commas between them, for example from an environment variable. Their names are
    /// `key-1`, `key-2` and so on.
    ///
    /// # Errors
    ///
    /// Fails in the cases of [`ApiKeys::new`].
    pub fn from_list(text: &str) -> Result<Self, ApiKeysError> {
        let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty());
        Self::new((1..).map(|number: usize| format!("key-{number}")).zip(keys))
    }

    /// Adds the keys of `others` to these keys.
    #[must_use]
    pub fn and(self, others: ApiKeys) -> Self {
        self.0.write().unwrap_or_else(PoisonError::into_inner).append(&mut others.take());
        self
    }

    /// Replaces the keys of all handles with those of `keys`, from the next request on.
    pub fn replace(&self, keys: ApiKeys) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys.take();
    }

    fn take(self) -> Vec<ApiKey> {
        std::mem::take(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the name of the key that a request with `headers` shows.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<Arc<str>, KeyRefusal> {
        let shown = shown(headers).map_err(KeyRefusal::Malformed)?.ok_or(KeyRefusal::NoKey)?;
        let hash = blake3::hash(&shown);
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // Compares with every key, even after a match. Otherwise the time would tell the position of the key.
        let found = keys.iter().fold(None, |found, key| if key.hash == hash { Some(&key.name) } else { found });
        found.cloned().ok_or(KeyRefusal::WrongKey)
    }
}

impl ApiKey {
    fn new(name: String, key: &str) -> Result<Self, ApiKeysError> {
        if key.len() < SHORTEST || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ApiKeysError::Weak { name });
        }
        Ok(ApiKey { name: name.into(), hash: blake3::hash(key.as_bytes()) })
    }
}

/// Returns the key that a request shows. A WebSocket handshake may show it in a [`subprotocol`], because a web page can
/// set no other header of a handshake.
fn shown(headers: &HeaderMap) -> Result<Option<Cow<'_, [u8]>>, &'static str> {
    if let Some(key) = in_header(headers) {
        return Ok(Some(Cow::Borrowed(key)));
    }
    if !has_token(headers, header::UPGRADE, "websocket") {
        return Ok(None);
    }
    Ok(subprotocol::offered(headers)?.key.map(Cow::Owned))
}

fn in_header(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.as_bytes().split_at_checked(BEARER.len())?;
        scheme.eq_ignore_ascii_case(BEARER.as_bytes()).then(|| key.trim_ascii())
    });
    bearer.or_else(|| Some(headers.get(API_KEY)?.as_bytes()))
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(keys.iter().map(|key| &key.name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &str = "ada-0123456789abcdef";
    const BOB: &str = "bob-0123456789abcdef";

    fn keys() -> ApiKeys {
        ApiKeys::new([("ada", ADA), ("bob", BOB)]).unwrap()
    }

    fn check(keys: &ApiKeys, name: HeaderName, value: &str) -> Result<String, KeyRefusal> {
        keys.check(&HeaderMap::from_iter([(name, value.parse().unwrap())])).map(|name| name.to_string())
    }

    #[test]
    fn a_key_is_a_bearer_token_or_in_its_own_header() {
        assert_eq!(check(&keys(), header::AUTHORIZATION, &format!("Bearer {ADA}")), Ok("ada".into()));
        assert_eq!(check(&keys(), header::AUTHORIZATION, &format!("bearer  {BOB} ")), Ok("bob".into()));
        assert_eq!(check(&keys(), API_KEY, BOB), Ok("bob".into()));
    }

    #[test]
    fn no_key_and_a_wrong_key_are_different_errors() {
        assert_eq!(keys().check(&HeaderMap::new()), Err(KeyRefusal::NoKey));
        assert_eq!(check(&keys(), header::AUTHORIZATION, "Basic YWRhOmFkYQ=="), Err(KeyRefusal::NoKey));
        assert_eq!(check(&keys(), API_KEY, &ADA[1..]), Err(KeyRefusal::WrongKey));
        assert_eq!(check(&keys(), API_KEY, &format!("{ADA}x")), Err(KeyRefusal::WrongKey));
        assert_eq!(check(&keys(), header::AUTHORIZATION, "Bearer "), Err(KeyRefusal::WrongKey));
    }

    #[test]
    fn only_a_websocket_handshake_may_show_its_key_as_subprotocol() {
        use base64::Engine;
        let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(ADA);
        let mut headers = HeaderMap::from_iter([(
            header::SEC_WEBSOCKET_PROTOCOL,
            format!("chainhost.v1, chainhost.bearer.{encoded}").parse().unwrap(),
        )]);
        assert_eq!(keys().check(&headers), Err(KeyRefusal::NoKey), "it is no handshake");
        headers.insert(header::UPGRADE, "WebSocket".parse().unwrap());
        assert_eq!(keys().check(&headers).unwrap().as_ref(), "ada");
        headers.insert(API_KEY, BOB.parse().unwrap());
        assert_eq!(keys().check(&headers).unwrap().as_ref(), "bob", "a header goes before it");
        headers.remove(API_KEY);
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, format!("chainhost.bearer.{encoded}").parse().unwrap());
        assert!(matches!(keys().check(&headers), Err(KeyRefusal::Malformed(_))));
    }

    #[test]
    fn all_handles_get_the_new_keys() {
        let (one, other) = (keys(), keys());
        let handle = one.clone();
        one.replace(ApiKeys::new([("eve", "eve-0123456789abcdef")]).unwrap().and(other));
        assert_eq!(check(&handle, API_KEY, ADA), Ok("ada".into()));
        assert_eq!(check(&handle, API_KEY, "eve-0123456789abcdef"), Ok("eve".into()));
        one.replace(ApiKeys::new([("bob", BOB)]).unwrap());
        assert_eq!(check(&handle, API_KEY, ADA), Err(KeyRefusal::WrongKey));
    }

    #[test]
    fn keys_that_are_short_or_not_visible_ascii_are_rejected() {
        for key in ["", "short", "with a space 0123456789", "ümläute-0123456789"] {
            let error = ApiKeys::new([("ada", key)]).unwrap_err().to_string();
            assert!(error.contains("`ada`") && (key.is_empty() || !error.contains(key)), "{error}");
        }
        assert!(matches!(ApiKeys::new([("", ""); 0]), Err(ApiKeysError::None)));
        assert!(matches!(ApiKeys::from_list(" , "), Err(ApiKeysError::None)));
    }

    #[test]
    fn commas_separate_the_keys_of_a_list() {
        let keys = ApiKeys::from_list(&format!("{ADA}, {BOB},")).unwrap();
        assert_eq!(check(&keys, API_KEY, BOB), Ok("key-2".into()));
    }

    #[test]
    fn an_error_in_the_file_names_the_line_but_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        assert!(matches!(ApiKeys::from_file(&path), Err(ApiKeysError::Read { .. })));
        for text in [
            "ada = \"0123456789-secret\"\nbob = 0123456789-secret",
            "# Keys\nada = [\"0123456789-secret\"]",
            "a = \"0123456789-secret\"\na = \"0123456789-secret\"",
        ] {
            std::fs::write(&path, text).unwrap();
            let error = ApiKeys::from_file(&path).unwrap_err().to_string();
            assert!(error.contains("keys.toml:2:") && !error.contains("secret"), "{error}");
        }
        std::fs::write(&path, format!("# Keys\nada = \"{ADA}\"\n")).unwrap();
        let keys = ApiKeys::from_file(&path).unwrap();
        assert_eq!(check(&keys, API_KEY, ADA), Ok("ada".into()));
        assert_eq!(format!("{keys:?}"), r#"{"ada"}"#);
    }
}

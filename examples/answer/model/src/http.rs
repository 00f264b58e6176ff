//! One request over `wasi:http`, whose answer is read as it comes.

use chainlet::{FutureReader, Result, StreamReader};
use futures::future::join;
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme, Trailers};
use wasip3::{wit_future, wit_stream};

/// How many bytes of an answer are read at once.
const PIECE: usize = 16 * 1024;

/// The parts of an address.
pub struct Url {
    scheme: Scheme,
    authority: String,
    path: String,
}

/// An answer. Dropping it closes its connection.
pub struct Answer {
    status: u16,
    body: StreamReader<u8>,
    _trailers: FutureReader<Result<Option<Trailers>, ErrorCode>>,
}

impl Url {
    /// Takes an address apart.
    pub fn parse(url: &str) -> Result<Self> {
        let (scheme, rest) = match url.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("https", rest)) => (Scheme::Https, rest),
            _ => return Err(format!("`{url}` is no address of HTTP: it begins with http:// or https://").into()),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Ok(Self { scheme, authority: authority.to_owned(), path: path.to_owned() })
    }
}

impl Answer {
    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The next bytes of the body; none at its end, and where it broke off.
    pub async fn read(&mut self) -> Vec<u8> {
        self.body.read(Vec::with_capacity(PIECE)).await.1
    }
}

/// Sends `body`, which is JSON, to `url`. Returns when the head of the answer is here.
pub async fn post(url: &Url, key: &str, body: String) -> Result<Answer, String> {
    let headers = Fields::new();
    let authorization = format!("Bearer {key}");
    for (name, value) in [
        ("content-type", "application/json"),
        ("accept", "text/event-stream"),
        ("content-length", &body.len().to_string()),
        ("authorization", &authorization),
    ] {
        // The value may be a secret, so the error says the name alone.
        headers.append(name, value.as_bytes()).map_err(|_| format!("the header `{name}` cannot be set"))?;
    }
    let (mut writer, contents) = wit_stream::new();
    let (_, no_trailers) = wit_future::new(|| Ok(None));
    let (request, _sent) = Request::new(headers, Some(contents), no_trailers, None);
    let refused = |()| format!("`{}{}` is no address", url.authority, url.path);
    request.set_method(&Method::Post).map_err(refused)?;
    request.set_scheme(Some(&url.scheme)).map_err(refused)?;
    request.set_authority(Some(&url.authority)).map_err(refused)?;
    request.set_path_with_query(Some(&url.path)).map_err(refused)?;
    // If the server does not read all of the body, the rest is dropped.
    let write = async move { writer.write_all(body.into_bytes()).await };
    let (response, _rest) = join(client::send(request), write).await;
    let response = response.map_err(reason)?;
    let status = response.get_status_code();
    let (_, read) = wit_future::new(|| Ok(()));
    let (body, trailers) = Response::consume_body(response, read);
    Ok(Answer { status, body, _trailers: trailers })
}

/// Says why there is no answer.
fn reason(code: ErrorCode) -> String {
    match code {
        ErrorCode::ConnectionRefused => "it refuses the connection".to_owned(),
        ErrorCode::ConnectionTerminated => "it closed the connection".to_owned(),
        ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => "its name has no address".to_owned(),
        ErrorCode::HttpRequestDenied => "chain.toml does not name it in `network.hosts`".to_owned(),
        other => format!("{other:?}"),
    }
}

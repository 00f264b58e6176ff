//! Uses the network, through either version of `wasi:http` or through a socket.

use std::fmt::Debug;
use std::io::Read;
use std::net::{TcpStream, UdpSocket};

/// The body of a POST.
static BODY: [u8; 100_000] = [b'x'; 100_000];

#[derive(Default)]
struct Fetch;

#[chainlet::chainlet]
impl Fetch {
    async fn run_remote(&self, what: String) -> Result<String, String> {
        let (how, to) = what.split_once(':').ok_or("what?")?;
        match how {
            "p2" => p2::fetch(to, None),
            "p2-post" => p2::fetch(to, Some(&BODY)),
            "p3" => p3::fetch(to, None).await,
            "p3-post" => p3::fetch(to, Some(BODY.to_vec())).await,
            "leave" => p2::leave(to),
            "tcp" => {
                let mut stream = TcpStream::connect(to).map_err(said)?;
                let mut bytes = [0; 64];
                let length = stream.read(&mut bytes).map_err(said)?;
                Ok(String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned())
            }
            "udp" => {
                let socket = UdpSocket::bind("0.0.0.0:0").map_err(said)?;
                socket.send_to(b"hello", to).map(|sent| sent.to_string()).map_err(said)
            }
            _ => Err(format!("unknown: {how}")),
        }
    }
}

fn said(error: impl Debug) -> String {
    format!("{error:?}")
}

/// Splits a URL into the parts that `wasi:http` takes: true if it is encrypted, its authority, and the rest.
fn parts(url: &str) -> Result<(bool, &str, &str), String> {
    let (scheme, rest) = url.split_once("://").ok_or("no scheme")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Ok((scheme == "https", authority, if path.is_empty() { "/" } else { path }))
}

mod p2 {
    use wasip2::http::outgoing_handler;
    use wasip2::http::types::{
        Fields, FutureIncomingResponse, IncomingBody, Method, OutgoingBody, OutgoingRequest, Scheme,
    };
    use wasip2::io::streams::StreamError;

    use super::{parts, said};

    fn send(url: &str, body: Option<&[u8]>) -> Result<FutureIncomingResponse, String> {
        let (encrypted, authority, path) = parts(url)?;
        let request = OutgoingRequest::new(Fields::new());
        let refused = |()| "the request cannot be".to_owned();
        request.set_method(&if body.is_some() { Method::Post } else { Method::Get }).map_err(refused)?;
        request.set_scheme(Some(&if encrypted { Scheme::Https } else { Scheme::Http })).map_err(refused)?;
        request.set_authority(Some(authority)).map_err(refused)?;
        request.set_path_with_query(Some(path)).map_err(refused)?;
        let outgoing = request.body().map_err(refused)?;
        let response = outgoing_handler::handle(request, None).map_err(said)?;
        if let Some(body) = body {
            let stream = outgoing.write().map_err(refused)?;
            for piece in body.chunks(4096) {
                stream.blocking_write_and_flush(piece).map_err(said)?;
            }
        }
        OutgoingBody::finish(outgoing, None).map_err(said)?;
        Ok(response)
    }

    pub fn fetch(url: &str, body: Option<&[u8]>) -> Result<String, String> {
        let response = send(url, body)?;
        response.subscribe().block();
        let response = response.get().ok_or("not yet")?.map_err(said)?.map_err(said)?;
        let status = response.status();
        let incoming = response.consume().map_err(said)?;
        let stream = incoming.stream().map_err(said)?;
        let mut body = Vec::new();
        loop {
            match stream.blocking_read(65_536) {
                Ok(bytes) => body.extend(bytes),
                Err(StreamError::Closed) => break,
                Err(error) => return Err(said(error)),
            }
        }
        drop(stream);
        drop(IncomingBody::finish(incoming));
        Ok(format!("{status} {}", String::from_utf8_lossy(&body)))
    }

    pub fn leave(url: &str) -> Result<String, String> {
        drop(send(url, None)?);
        Ok("left".to_owned())
    }
}

mod p3 {
    use futures::future::join;
    use wasip3::http::client;
    use wasip3::http::types::{Fields, Method, Request, Response, Scheme};
    use wasip3::{wit_future, wit_stream};

    use super::{parts, said};

    pub async fn fetch(url: &str, body: Option<Vec<u8>>) -> Result<String, String> {
        let (encrypted, authority, path) = parts(url)?;
        let method = if body.is_some() { Method::Post } else { Method::Get };
        let (mut writer, contents) = wit_stream::new();
        let contents = body.is_some().then_some(contents);
        let (_, no_trailers) = wit_future::new(|| Ok(None));
        let (request, _sent) = Request::new(Fields::new(), contents, no_trailers, None);
        let refused = |()| "the request cannot be".to_owned();
        request.set_method(&method).map_err(refused)?;
        request.set_scheme(Some(&if encrypted { Scheme::Https } else { Scheme::Http })).map_err(refused)?;
        request.set_authority(Some(authority)).map_err(refused)?;
        request.set_path_with_query(Some(path)).map_err(refused)?;
        // An error means that the other side does not want the rest of the body.
        let write = async move { writer.write_all(body.unwrap_or_default()).await };
        let (response, _left) = join(client::send(request), write).await;
        let response = response.map_err(said)?;
        let status = response.get_status_code();
        let (_, read) = wit_future::new(|| Ok(()));
        let (body, trailers) = Response::consume_body(response, read);
        let body = body.collect().await;
        trailers.await.map_err(said)?;
        Ok(format!("{status} {}", String::from_utf8_lossy(&body)))
    }
}

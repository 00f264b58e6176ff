//! The methods that a path serves, and the answers to all other methods and to `OPTIONS` (RFC 9110, 9.3.7 and 15.5.6).
//!
//! Each path names its own methods, because the router does not know all of them: each path answers `OPTIONS`, and
//! `/run_remote` takes `GET` only for WebSockets, which not every chain has.

use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::handler::Handler;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use http::{HeaderValue, Method, StatusCode, Version, header};

use super::observe::RequestContext;
use super::problem::{Problem, ProblemKind};
use super::{Http, socket};

/// The methods of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Methods {
    /// `GET` and `HEAD`.
    Read,
    /// `POST`.
    Act,
    /// `POST`, and `GET` to begin a WebSocket.
    ActOrConverse,
}

/// Makes the routing of a path that is only read.
pub(super) fn read<H: Handler<T, Http>, T: 'static>(handler: H) -> MethodRouter<Http> {
    get(handler).fallback(async |Extension(context): Extension<RequestContext>, request: Request| {
        Methods::Read.answer_other(&context, &request)
    })
}

/// Makes the routing of a path that does something.
pub(super) fn act<H: Handler<T, Http>, T: 'static>(handler: H) -> MethodRouter<Http> {
    post(handler).fallback(async |Extension(context): Extension<RequestContext>, request: Request| {
        Methods::Act.answer_other(&context, &request)
    })
}

impl Methods {
    /// Returns the methods of `/run_remote`. A WebSocket needs HTTP/1.1, and a chain that takes a stream and returns
    /// one.
    pub(super) fn of_entrypoint(http: &Http, version: Version) -> Self {
        let chain = http.0.chain.current();
        let converses = chain.signature(chain.entrypoint().as_str()).is_some_and(|signature| socket::fits(signature));
        if converses && version == Version::HTTP_11 { Methods::ActOrConverse } else { Methods::Act }
    }

    /// Returns the value of the header `Allow`.
    pub(super) fn allow(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Methods::Read => "GET, HEAD, OPTIONS",
            Methods::Act => "POST, OPTIONS",
            Methods::ActOrConverse => "GET, POST, OPTIONS",
        })
    }

    /// Returns the answer to a request with a method that is not one of these, or with `OPTIONS`.
    pub(super) fn answer_other(self, context: &RequestContext, request: &Request) -> Response {
        let mut response = if request.method() == Method::OPTIONS {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        } else {
            let (path, method) = (request.uri().path(), request.method());
            let detail = format!("{path} does not take {method}; the header Allow says what it takes");
            Problem::new(ProblemKind::MethodNotAllowed, detail).into_response(&context.id)
        };
        response.headers_mut().insert(header::ALLOW, self.allow());
        response
    }
}

//! Finds the format of a request and the format that its answer should have (RFC 9110, 8.3 and 12.5.1).

use std::cmp::Reverse;

use chainhost_core::chain::answer::stream_of;
use chainhost_core::value::format::Format;
use chainhost_core::value::ty::{Member, answer_of};
use chainhost_core::value::{Signature, Type};
use http::{HeaderMap, HeaderValue, header};

use super::problem::{Problem, ProblemKind};
use super::upload::stream_param;

/// The media type of items in lines.
pub(super) const LINES: &str = "application/x-ndjson";
/// The media type of items as server-sent events.
pub(super) const EVENTS: &str = "text/event-stream";

/// The way in which a request sends its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestFormat {
    /// All at once.
    Whole(Format),
    /// Together with the items of a stream, which are read during the call.
    Stream(Upload),
}

/// The way in which the items of a stream are sent to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upload {
    /// Each as JSON, in a line of its own.
    Lines,
    /// As plain bytes.
    Bytes,
}

/// The way in which an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseFormat {
    /// All at once.
    Whole(Format),
    /// Item by item, as the guest makes them.
    Stream(Framing),
}

/// The way in which the items of a stream are sent to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Each as JSON, in a line of its own.
    Lines,
    /// Each as JSON, in a server-sent event.
    Events,
    /// As plain bytes.
    Bytes,
}

impl RequestFormat {
    /// All ways to send parameters.
    const ALL: [RequestFormat; 5] = [
        RequestFormat::Whole(Format::Json),
        RequestFormat::Whole(Format::Cbor),
        RequestFormat::Stream(Upload::Bytes),
        RequestFormat::Whole(Format::Bytes),
        RequestFormat::Stream(Upload::Lines),
    ];

    pub(super) fn media_type(self) -> &'static str {
        match self {
            RequestFormat::Whole(format) => format.media_type(),
            RequestFormat::Stream(Upload::Lines) => LINES,
            RequestFormat::Stream(Upload::Bytes) => Format::Bytes.media_type(),
        }
    }

    /// Returns true if `params` can be sent in this way.
    pub(super) fn fits(self, params: &[Member]) -> bool {
        match self {
            RequestFormat::Whole(format) => format.fits_params(params),
            RequestFormat::Stream(Upload::Lines) => stream_param(params).is_some(),
            RequestFormat::Stream(Upload::Bytes) => {
                params.len() == 1 && stream_param(params).is_some_and(|(_, item)| *item == Type::U8)
            }
        }
    }

    /// Returns the ways in which `params` can be sent.
    pub(super) fn of_params(params: &[Member]) -> impl Iterator<Item = RequestFormat> {
        RequestFormat::ALL.into_iter().filter(|input| input.fits(params))
    }
}

impl ResponseFormat {
    pub(super) fn media_type(self) -> &'static str {
        match self {
            ResponseFormat::Whole(format) => format.media_type(),
            ResponseFormat::Stream(Framing::Lines) => LINES,
            ResponseFormat::Stream(Framing::Events) => EVENTS,
            ResponseFormat::Stream(Framing::Bytes) => Format::Bytes.media_type(),
        }
    }

    /// Returns the ways in which the answer of a function that returns `result` can be sent, the default first.
    pub(super) fn of_result(result: Option<&Type>) -> Vec<ResponseFormat> {
        let answer = answer_of(result);
        let streamed: &[ResponseFormat] = match answer.and_then(stream_of) {
            Some((_, Type::U8)) => &[ResponseFormat::Stream(Framing::Bytes)],
            Some(_) => &[ResponseFormat::Stream(Framing::Lines), ResponseFormat::Stream(Framing::Events)],
            None => &[],
        };
        let whole = Format::ALL.into_iter().filter(|format| format.fits_answer(result)).map(ResponseFormat::Whole);
        streamed.iter().copied().chain(whole).collect()
    }
}

/// Returns the way in which a request sends its parameters, as its headers say. `signature` is called only if it is
/// needed.
///
/// # Errors
/// Fails if the headers name no way, or one that the signature does not fit.
pub(super) fn of_body<S: AsRef<Signature>>(
    headers: &HeaderMap,
    signature: impl Fn() -> Option<S>,
) -> Result<RequestFormat, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let fitting = || match signature() {
        Some(signature) => RequestFormat::of_params(&signature.as_ref().params).collect(),
        None => vec![RequestFormat::Whole(Format::Json)],
    };
    let named = kind.map(named).unwrap_or_default();
    match named {
        Some(format @ (Format::Json | Format::Cbor)) => Ok(RequestFormat::Whole(format)),
        _ if let Some(input) = kind.and_then(|kind| fitting().into_iter().find(|input| input.is_named(kind))) => {
            Ok(input)
        }
        _ => {
            let found = match kind {
                Some(kind) => format!("the body is `{}`", String::from_utf8_lossy(kind)),
                None => "the body has no Content-Type".to_owned(),
            };
            let all = listed(fitting().into_iter().map(RequestFormat::media_type));
            Err(Problem::new(
                ProblemKind::MediaType,
                format!("{found}; this takes {all}, with a header such as `Content-Type: application/json`"),
            ))
        }
    }
}

/// Returns the way in which the client wants the answer of a function with `signature`. The default is JSON, or a
/// stream for a function that returns one.
///
/// # Errors
/// Fails if the client accepts none of the ways that fit the signature.
pub(super) fn of_answer<S: AsRef<Signature>>(
    headers: &HeaderMap,
    signature: impl Fn() -> Option<S>,
) -> Result<ResponseFormat, Problem> {
    // A fast path: nearly all clients ask for JSON or for anything.
    let accept = headers.get(header::ACCEPT).map(HeaderValue::as_bytes);
    let is_only = headers.get_all(header::ACCEPT).iter().nth(1).is_none();
    if is_only && accept == Some(b"application/json") {
        return Ok(ResponseFormat::Whole(Format::Json));
    }
    let signature = signature();
    let result = signature.as_ref().and_then(|signature| signature.as_ref().result.as_ref());
    if is_only && matches!(accept, None | Some(b"*/*")) && !result.is_some_and(Type::has_streams) {
        return Ok(ResponseFormat::Whole(Format::Json));
    }
    let offers = ResponseFormat::of_result(result);
    best(headers, offers.iter().map(|output| (*output, output.media_type()))).ok_or_else(|| {
        let all = listed(offers.iter().map(|output| output.media_type()));
        Problem::new(
            ProblemKind::NotAcceptable,
            format!("the answer can be {all}, and the header Accept names none of them"),
        )
    })
}

/// Returns the offer that the client prefers. Each offer has its media type. Returns the first offer if the client does
/// not say.
///
/// Of offers with the same weight, it returns the one that the client names in more detail, and then the one that the
/// client names first.
pub(super) fn best<'a, T>(headers: &HeaderMap, offers: impl IntoIterator<Item = (T, &'a str)>) -> Option<T> {
    let lines = headers.get_all(header::ACCEPT);
    let elements = lines.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let ranges: Vec<Range<'_>> = elements.filter_map(Range::parse).collect();
    let mut offers = offers.into_iter();
    if ranges.is_empty() {
        return offers.next().map(|(offer, _)| offer);
    }
    let liking = |media_type: &str| {
        let matching = ranges
            .iter()
            .enumerate()
            .filter_map(|(position, range)| Some((range.detail(media_type)?, position, range.quality)));
        // The most detailed range that matches decides, even if its weight is 0 (RFC 9110, 12.5.1).
        let (detail, position, quality) = matching.max_by_key(|(detail, position, _)| (*detail, Reverse(*position)))?;
        (quality > 0).then_some((quality, detail, Reverse(position)))
    };
    let liked = offers
        .enumerate()
        .filter_map(|(order, (offer, media_type))| Some(((liking(media_type)?, Reverse(order)), offer)));
    liked.max_by_key(|(liking, _)| *liking).map(|(_, offer)| offer)
}

/// Returns the format that a media type names. Every type with the suffix `+json` is JSON.
fn named(media_type: &[u8]) -> Option<Format> {
    let essence = essence(media_type);
    let is_json = || {
        let suffix = essence.len().checked_sub(b"+json".len()).and_then(|at| essence.get(at..));
        suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json")) && essence.contains(&b'/')
    };
    let same = |format: &Format| essence.eq_ignore_ascii_case(format.media_type().as_bytes());
    Format::ALL.into_iter().find(same).or_else(|| is_json().then_some(Format::Json))
}

impl RequestFormat {
    fn is_named(self, media_type: &[u8]) -> bool {
        essence(media_type).eq_ignore_ascii_case(self.media_type().as_bytes())
    }
}

fn essence(media_type: &[u8]) -> &[u8] {
    media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

fn listed<'a>(media_types: impl Iterator<Item = &'a str>) -> String {
    media_types.collect::<Vec<_>>().join(", ")
}

/// An element of the header Accept.
#[derive(Debug, PartialEq)]
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// The parameter `version`, which distinguishes formats of one type.
    version: Option<&'a str>,
    /// The weight `q`, in thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    /// Reads one element. Ignores a malformed one: returns `None`.
    fn parse(element: &'a str) -> Option<Self> {
        let (kind, subtype) = element.split(';').next()?.trim().split_once('/')?;
        let (version, weight) = (parameter(element, "version"), parameter(element, "q"));
        let quality =
            weight.map_or(Some(1.0), |weight| weight.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q)))?;
        let is_range = !kind.is_empty() && !subtype.is_empty() && (kind != "*" || subtype == "*");
        is_range.then_some(Range { kind, subtype, version, quality: (quality * 1000.0).round() as u16 })
    }

    /// Returns how detailed this range names `media_type`, or `None` if it does not match.
    fn detail(&self, media_type: &str) -> Option<u8> {
        let (kind, subtype) = media_type.split(';').next()?.split_once('/')?;
        let versions = (self.version, parameter(media_type, "version"));
        match (self.kind, self.subtype) {
            ("*", _) => Some(0),
            (own, "*") if own.eq_ignore_ascii_case(kind) => Some(1),
            (own, exactly) if own.eq_ignore_ascii_case(kind) && exactly.eq_ignore_ascii_case(subtype) => match versions
            {
                (Some(own), Some(offered)) => (own == offered).then_some(3),
                _ => Some(2),
            },
            _ => None,
        }
    }
}

/// Returns the value of the parameter `name` of a media type.
fn parameter<'a>(media_type: &'a str, name: &str) -> Option<&'a str> {
    media_type.split(';').skip(1).find_map(|part| {
        let (found, value) = part.split_once('=')?;
        found.trim().eq_ignore_ascii_case(name).then_some(value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chainhost_core::value::Type;
    use chainhost_core::value::ty::Docs;

    use super::*;
    use crate::arbitrary::member;

    fn signature(ty: Type) -> Arc<Signature> {
        let list = Type::List(Arc::new(ty));
        let params = vec![member("data", Some(list.clone()))];
        Arc::new(Signature { is_async: true, params, result: Some(list), docs: Docs(None) })
    }

    fn headers(name: http::HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    fn body(kind: &str, ty: Type) -> Result<RequestFormat, String> {
        let signature = signature(ty);
        of_body(&headers(header::CONTENT_TYPE, &[kind]), || Some(signature.clone()))
            .map_err(|problem| problem.detail().to_owned())
    }

    fn answer(accept: &[&str], ty: Type) -> Result<ResponseFormat, String> {
        let signature = signature(ty);
        of_answer(&headers(header::ACCEPT, accept), || Some(signature.clone())).map_err(|problem| {
            assert_eq!(problem.kind(), ProblemKind::NotAcceptable);
            problem.detail().to_owned()
        })
    }

    #[test]
    fn a_media_type_names_a_format() {
        for kind in ["application/json", "Application/JSON; charset=utf-8", "application/ld+json", " application/json "]
        {
            assert_eq!(named(kind.as_bytes()), Some(Format::Json), "{kind}");
        }
        for kind in
            ["", "json", "+json", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "text/json"]
        {
            assert_eq!(named(kind.as_bytes()), None, "{kind}");
        }
        assert_eq!(named(b"application/cbor"), Some(Format::Cbor));
        assert_eq!(named(b"application/octet-stream;x=y"), Some(Format::Bytes));
    }

    #[test]
    fn plain_bytes_are_only_for_one_parameter_that_is_a_list_of_bytes() {
        assert_eq!(body("application/octet-stream", Type::U8), Ok(RequestFormat::Whole(Format::Bytes)));
        assert_eq!(body("application/cbor", Type::S8), Ok(RequestFormat::Whole(Format::Cbor)));
        assert_eq!(
            body("application/octet-stream", Type::S8).unwrap_err(),
            "the body is `application/octet-stream`; this takes application/json, application/cbor, with a header such \
             as `Content-Type: application/json`"
        );
        assert!(body("text/plain", Type::U8).unwrap_err().contains("application/cbor, application/octet-stream,"));
        let nobody = of_body(&HeaderMap::new(), || None::<Arc<Signature>>).unwrap_err();
        assert!(nobody.detail().starts_with("the body has no Content-Type; this takes application/json"));
    }

    #[test]
    fn an_answer_is_json_unless_the_client_prefers_another_format() {
        for (accept, format) in [
            (&[][..], Format::Json),
            (&["*/*"], Format::Json),
            (&["application/*"], Format::Json),
            (&[""], Format::Json),
            (&["nonsense, */json, application/cbor;q=2"], Format::Json),
            (&["application/octet-stream"], Format::Bytes),
            (&["application/octet-stream, */*"], Format::Bytes),
            (&["*/*", "application/octet-stream"], Format::Bytes),
            (&["application/json", "application/cbor;q=0.9"], Format::Json),
            (&["application/json;q=0.5, application/CBOR;q=0.501"], Format::Cbor),
            (&["application/cbor, application/json"], Format::Cbor),
            (&["application/json, application/cbor"], Format::Json),
            (&["application/json;q=0, */*"], Format::Cbor),
            (&["application/*;q=0.1, application/cbor;q=0"], Format::Json),
            (&["text/html, application/cbor ; Q=0.8"], Format::Cbor),
        ] {
            assert_eq!(answer(accept, Type::U8), Ok(ResponseFormat::Whole(format)), "{accept:?}");
        }
        assert_eq!(
            answer(&["application/octet-stream, application/*;q=0.1"], Type::S8),
            Ok(ResponseFormat::Whole(Format::Json))
        );
    }

    #[test]
    fn an_error_for_an_unsupported_accept_lists_the_supported_types() {
        for accept in ["text/html", "application/octet-stream", "*/*;q=0", "application/cbor;q=0, image/*"] {
            assert_eq!(
                answer(&[accept], Type::S8).unwrap_err(),
                "the answer can be application/json, application/cbor, and the header Accept names none of them"
            );
        }
        assert!(answer(&["text/*"], Type::U8).unwrap_err().contains("application/octet-stream"));
    }

    #[test]
    fn a_stream_is_streamed_unless_the_headers_ask_for_one_value() {
        let stream = |item| Type::Stream(Arc::new(item));
        let signature = |param: Type, result: Type| {
            let params = vec![member("items", Some(param))];
            Arc::new(Signature { is_async: true, params, result: Some(result), docs: Docs(None) })
        };
        let words = signature(stream(Type::String), stream(Type::String));
        let given = |accept: &[&str], signature: &Arc<Signature>| {
            of_answer(&headers(header::ACCEPT, accept), || Some(signature.clone())).map_err(|problem| problem.kind())
        };
        for (accept, output) in [
            (&[][..], ResponseFormat::Stream(Framing::Lines)),
            (&["*/*"], ResponseFormat::Stream(Framing::Lines)),
            (&["text/event-stream"], ResponseFormat::Stream(Framing::Events)),
            (&["text/*, application/json;q=0.5"], ResponseFormat::Stream(Framing::Events)),
            (&["application/json"], ResponseFormat::Whole(Format::Json)),
            (&["application/cbor"], ResponseFormat::Whole(Format::Cbor)),
        ] {
            assert_eq!(given(accept, &words), Ok(output), "{accept:?}");
        }
        assert_eq!(given(&["application/octet-stream"], &words), Err(ProblemKind::NotAcceptable));
        let bytes = signature(stream(Type::U8), stream(Type::U8));
        assert_eq!(given(&["*/*"], &bytes), Ok(ResponseFormat::Stream(Framing::Bytes)));
        assert_eq!(given(&["text/event-stream"], &bytes), Err(ProblemKind::NotAcceptable));

        let taken = |kind: &str, signature: &Arc<Signature>| {
            of_body(&headers(header::CONTENT_TYPE, &[kind]), || Some(signature.clone()))
                .map_err(|problem| problem.kind())
        };
        assert_eq!(taken("application/x-ndjson; charset=utf-8", &words), Ok(RequestFormat::Stream(Upload::Lines)));
        assert_eq!(taken("application/octet-stream", &words), Err(ProblemKind::MediaType));
        assert_eq!(taken("application/octet-stream", &bytes), Ok(RequestFormat::Stream(Upload::Bytes)));
        assert_eq!(taken("application/json", &bytes), Ok(RequestFormat::Whole(Format::Json)));
        assert_eq!(taken("application/x-ndjson", &signature(Type::U8, Type::U8)), Err(ProblemKind::MediaType));
    }
}

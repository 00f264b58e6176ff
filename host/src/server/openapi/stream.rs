//! Streams in the document. OpenAPI 3.1 cannot describe the items of a stream, so `x-item-schema` does, as `itemSchema`
//! does in 3.2.

use chainhost_core::chain::answer::stream_of;
use chainhost_core::value::ty::{Member, Signature, Type, answer_of};
use serde_json::{Map, Value as Json, json};

use super::problem;
use super::schema::{Direction, Schemas};
use super::{Listener, SOCKET_KEY, example};
use crate::server::format::{Framing, Upload};
use crate::server::problem::ProblemKind;
use crate::server::streaming::has_free_keys;
use crate::server::upload::stream_param;

/// Returns the media type of an answer of type `ty` that is streamed in `framing`.
pub(super) fn given(framing: Framing, ty: Option<&Type>, schemas: &mut Schemas) -> Json {
    let description = match framing {
        Framing::Lines => {
            "An item in each line. Then `{\"$end\": …}` with the rest of the answer, or null; or `{\"$error\": …}` with a \
             problem document if the stream broke off."
        }
        Framing::Events => {
            "An item in the data of each event. Then an event `end` with the rest of the answer, or null; or an event `error` \
             with a problem document if the stream broke off."
        }
        Framing::Bytes => return json!({ "schema": { "type": "string", "format": "binary" } }),
    };
    let Some((ty, (place, item))) = ty.and_then(|ty| Some((ty, stream_of(ty)?))) else { return json!({}) };
    let schema = schemas.of(item, Direction::Output);
    let mut content = json!({ "schema": { "type": "string", "description": description }, "x-item-schema": schema });
    let text = example::of(item).zip(rest(ty, place)).map(|(item_example, rest)| match framing {
        Framing::Events => format!("data: {item_example}\n\nevent: end\ndata: {rest}\n\n"),
        _ => format!("{}\n{}\n", line(item, item_example), json!({ "$end": rest })),
    });
    example::add(&mut content, text.map(Json::from));
    content
}

/// Returns an item of type `ty` as it is written in a line.
fn line(ty: &Type, item: Json) -> Json {
    if has_free_keys(ty) { json!({ "$item": item }) } else { item }
}

/// Returns an example of the values beside the stream at `place` in an answer of type `ty`, or null if there are none.
fn rest(ty: &Type, place: Option<usize>) -> Option<Json> {
    let others = |count: usize| (0..count).filter(move |index| Some(*index) != place);
    // A future of a `result` is sent as the value of its `ok`.
    let value = |ty: &Type| match ty {
        Type::Future(inner) => answer_of(Some(inner)).map_or(Some(Json::Null), example::of),
        ty => example::of(ty),
    };
    match ty {
        Type::Tuple(types) => {
            let mut values: Vec<_> =
                others(types.len()).filter_map(|index| types.get(index)).map(value).collect::<Option<_>>()?;
            if values.len() == 1 { values.pop() } else { Some(values.into()) }
        }
        Type::Record(declared) => {
            let members = others(declared.members.len()).filter_map(|index| declared.members.get(index));
            let members = members.filter_map(|member| Some((member.name.snake().to_owned(), member.ty.as_ref()?)));
            let members: Option<Map<_, _>> = members.map(|(name, ty)| Some((name, value(ty)?))).collect();
            Some(members?.into())
        }
        _ => Some(Json::Null),
    }
}

/// Returns the media type of a body that uploads the stream among `params` as `upload` says.
pub(super) fn taken(upload: Upload, params: &[Member], schemas: &mut Schemas) -> Json {
    let Some((place, item)) = stream_param(params).filter(|_| upload == Upload::Lines) else {
        return json!({ "schema": { "type": "string", "format": "binary" } });
    };
    let schema = schemas.of(item, Direction::Input);
    let line = example::of(item).map(|example| line(item, example));
    let mut others = params.to_vec();
    others.remove(place);
    let (mut content, text) = if others.is_empty() {
        let description = "An item in each line, read while the call goes on.";
        let content = json!({ "schema": { "type": "string", "description": description }, "x-item-schema": schema });
        (content, line.map(|line| format!("{line}\n")))
    } else {
        let description =
            "The first line has the other parameters by name, each further line an item, read while the call goes on.";
        let content = json!({
            "schema": { "type": "string", "description": description },
            "x-first-line-schema": schemas.members(&others, Direction::Input),
            "x-item-schema": schema,
        });
        let text = example::of_members(&others).zip(line).map(|(first, line)| format!("{first}\n{line}\n"));
        (content, text)
    };
    example::add(&mut content, text.map(Json::from));
    content
}

/// Returns the operation that opens a WebSocket.
pub(super) fn socket(id: &str, signature: &Signature, listener: Listener) -> Json {
    let bytes = |ty: Option<&Type>| ty == Some(&Type::U8);
    let sent = bytes(stream_param(&signature.params).map(|(_, item)| item));
    let answer = signature.answer();
    let got = bytes(answer.and_then(stream_of).map(|(_, item)| item));
    let frames = |bytes: bool| if bytes { "bytes in binary messages" } else { "an item of JSON in each text message" };
    let description = format!(
        "A WebSocket (RFC 6455). The client sends {}, after the other parameters as an object in a text message of their own, \
         if there are any, and `{{\"$end\": null}}` after the last. The server sends {}, then `{{\"$end\": …}}` with the \
         rest of the answer or null, or `{{\"$error\": …}}` with a problem document, and closes.",
        frames(sent),
        frames(got),
    );
    let mut responses = Map::new();
    responses.insert("101".into(), json!({ "description": "The connection is a WebSocket from here on." }));
    let failures = [
        ProblemKind::Forbidden,
        // Over HTTP/2, the path takes no `GET`.
        ProblemKind::MethodNotAllowed,
        ProblemKind::UpgradeRequired,
        ProblemKind::NotReady,
        ProblemKind::Crowded,
    ];
    problem::add(&mut responses, failures.into_iter().chain(listener.refusals(true)));
    let mut operation = json!({
        "operationId": format!("{id}_socket"),
        "tags": [super::CALLS],
        "summary": "Call the chain over a WebSocket",
        "description": description,
        "responses": responses,
    });
    if let (Listener::Keys, Some(operation)) = (listener, operation.as_object_mut()) {
        operation.insert("security".into(), json!([{ "bearer": [] }, { "apiKey": [] }, { SOCKET_KEY: [] }]));
    }
    operation
}

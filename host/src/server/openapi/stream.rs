//! How streams look in the document. OpenAPI 3.1 has no words for the items of a stream: each is described in
//! `x-item-schema`, as 3.2 does in `itemSchema`.

use serde_json::{Value as Json, json};

use super::schema::{Direction, Schemas};
use super::{SOCKET_KEY, problem};
use crate::chain::answer::stream_of;
use crate::server::format::{Framing, Upload};
use crate::server::upload::stream_param;
use crate::value::ty::{Member, Signature, Type};

/// The media type of an answer of type `ty` that goes out as `framing` says.
pub(super) fn given(framing: Framing, ty: Option<&Type>, schemas: &mut Schemas) -> Json {
    let description = match framing {
        Framing::Lines => {
            "An item in each line. Then `{\"$end\": …}`, where the answer has more than its stream; or \
             `{\"$error\": …}` with a problem document, where the stream broke off."
        }
        Framing::Events => {
            "An item in the data of each event. Then an event `end` with the rest of the answer, or null; or an event `error` \
             with a problem document, where the stream broke off."
        }
        Framing::Bytes => return json!({}),
    };
    let item = ty.and_then(stream_of).map(|(_, item)| schemas.of(item, Direction::Output));
    json!({ "schema": { "type": "string", "description": description }, "x-item-schema": item })
}

/// The media type of a body that brings the stream among `params` as `upload` says.
pub(super) fn taken(upload: Upload, params: &[Member], schemas: &mut Schemas) -> Json {
    let Some((place, item)) = stream_param(params).filter(|_| upload == Upload::Lines) else { return json!({}) };
    let item = schemas.of(item, Direction::Input);
    let mut others = params.to_vec();
    others.remove(place);
    if others.is_empty() {
        let description = "An item in each line, read while the call goes on.";
        return json!({ "schema": { "type": "string", "description": description }, "x-item-schema": item });
    }
    let description =
        "In the first line the other parameters by name, in each further one an item, read while the call goes on.";
    let first = schemas.members(&others, Direction::Input);
    json!({
        "schema": { "type": "string", "description": description },
        "x-first-line-schema": first,
        "x-item-schema": item,
    })
}

/// The operation of a WebSocket.
pub(super) fn socket(id: &str, signature: &Signature, api_keys: bool) -> Json {
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
    let mut operation = json!({
        "operationId": format!("{id}_socket"),
        "summary": "Call the chain over a WebSocket",
        "description": description,
    });
    let mut responses = json!({
        "101": { "description": "The connection is a WebSocket from here on." },
        "426": problem::upgrade_required(),
    });
    if api_keys {
        responses["401"] = problem::unauthorized();
        operation["security"] = json!([{ "bearer": [] }, { "apiKey": [] }, { SOCKET_KEY: [] }]);
    }
    operation["responses"] = responses;
    operation
}

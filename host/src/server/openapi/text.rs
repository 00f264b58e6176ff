//! The text of a document, with keys in an order that is good to read.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value as Json;

/// The keys that come first in their object. The others follow in alphabetical order. JSON comes first, because many
/// generators take only the first media type, and few know any other than JSON.
const FIRST: [&str; 9] =
    ["openapi", "info", "servers", "tags", "security", "paths", "operationId", "summary", "application/json"];

/// Returns `document` as JSON text.
pub fn to_text(document: &Json) -> String {
    // This cannot fail, because all keys of a JSON tree are strings.
    serde_json::to_string(&Ordered(document)).unwrap_or_default()
}

struct Ordered<'a>(&'a Json);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Json::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                let first = FIRST.iter().filter_map(|key| members.get_key_value(*key));
                let others = members.iter().filter(|(key, _)| !FIRST.contains(&key.as_str()));
                for (key, value) in first.chain(others) {
                    map.serialize_entry(key, &Ordered(value))?;
                }
                map.end()
            }
            Json::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Ordered(item))?;
                }
                list.end()
            }
            other => other.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_important_keys_come_first_and_nothing_is_lost() {
        let document = json!({
            "components": {}, "paths": [{ "b": 1, "application/json": null, "application/cbor": [] }], "info": {},
            "openapi": "3.1.1",
        });
        let text = to_text(&document);
        let expected = concat!(
            r#"{"openapi":"3.1.1","info":{},"paths":[{"application/json":null,"application/cbor":[],"b":1}],"#,
            r#""components":{}}"#
        );
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), document);
    }
}

//! Converts the JSON of the examples to CBOR, and back.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde_json::{Map, Value as Json};

/// The members whose strings are bytes in base64.
const BYTES: [&str; 3] = ["bytes", "blobs", "data"];

/// The members whose objects have keys that are bools or integers.
const TYPED_KEYS: [&str; 3] = ["by_number", "by_size", "by_answer"];

/// Converts `json` to CBOR. Types that WIT has and JSON lacks keep their own form: bytes, NaN, the infinities, and keys
/// that are no strings.
pub fn encode(json: &Json) -> Vec<u8> {
    cbor4ii::serde::to_vec(Vec::new(), &Encoded { json, member: "" }).unwrap()
}

/// Converts CBOR back to the JSON that [`encode`] has converted.
#[track_caller]
pub fn decode(cbor: &[u8]) -> Json {
    cbor4ii::serde::from_slice::<Decoded>(cbor).unwrap().0
}

struct Encoded<'a> {
    json: &'a Json,
    /// The name of the member that contains `json`.
    member: &'a str,
}

impl Serialize for Encoded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_bytes = BYTES.contains(&self.member);
        match self.json {
            Json::Object(entries) if TYPED_KEYS.contains(&self.member) => serializer.collect_map(
                entries
                    .iter()
                    .map(|(key, json)| (serde_json::from_str::<Json>(key).unwrap(), Encoded { json, member: "" })),
            ),
            Json::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, json)| (name, Encoded { json, member: name })))
            }
            Json::Array(items) => {
                serializer.collect_seq(items.iter().map(|json| Encoded { json, member: self.member }))
            }
            Json::String(text) if is_bytes => serializer.serialize_bytes(&STANDARD.decode(text).unwrap()),
            Json::String(text) => match text.as_str() {
                "NaN" => serializer.serialize_f64(f64::NAN),
                "Infinity" => serializer.serialize_f64(f64::INFINITY),
                "-Infinity" => serializer.serialize_f64(f64::NEG_INFINITY),
                text => serializer.serialize_str(text),
            },
            Json::Null => serializer.serialize_none(),
            other => other.serialize(serializer),
        }
    }
}

struct Decoded(Json);

impl<'de> Deserialize<'de> for Decoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Decoded)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a WIT type")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(match value {
            f64::INFINITY => "Infinity".into(),
            f64::NEG_INFINITY => "-Infinity".into(),
            value if value.is_nan() => "NaN".into(),
            value => value.into(),
        })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json, E> {
        Ok(text.into())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Json, E> {
        Ok(STANDARD.encode(bytes).into())
    }

    fn visit_none<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(Decoded(item)) = array.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Map::new();
        while let Some((Decoded(name), Decoded(json))) = map.next_entry()? {
            let name = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
            members.insert(name, json);
        }
        Ok(members.into())
    }
}

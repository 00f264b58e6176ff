//! A chainlet's plain settings, `[chainlets.NAME.config]`.

use serde::de::DeserializeOwned;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

/// One setting: any TOML value.
pub use toml::Value as SettingValue;

/// A chainlet's settings, in the order of chain.toml.
///
/// A guest reads them as JSON. A table is an object, an array is an array, and a date or a time is the string that TOML
/// writes. A float that JSON has no number for is the string `NaN`, `Infinity` or `-Infinity`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings(toml::Table);

impl Settings {
    /// Sets `name`, and replaces its former value.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<SettingValue>) {
        self.0.insert(name.into(), value.into());
    }

    /// Returns true if there are no settings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the names of the settings, without those inside tables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns the setting `name`, in which a dot steps into a table: `retry.limit` is `limit` in the table `retry`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SettingValue> {
        let mut steps = name.split('.');
        let first = self.0.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.as_table()?.get(step))
    }

    /// Returns the setting `name`, found as by [`Settings::get`], as JSON text.
    #[must_use]
    pub fn json(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| json_text(&AsJson(value)))
    }

    /// Reads the settings as a `T`.
    ///
    /// # Errors
    ///
    /// Returns the keys that lead to the setting that does not fit, and the reason.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, (Vec<String>, String)> {
        serde_path_to_error::deserialize(SettingValue::Table(self.0.clone())).map_err(|error| {
            let keys = error.path().iter().filter_map(|segment| match segment {
                serde_path_to_error::Segment::Map { key } => Some(key.clone()),
                _ => None,
            });
            (keys.collect(), error.inner().to_string().trim().to_owned())
        })
    }

    /// Returns all settings as the text of one JSON object.
    #[must_use]
    pub fn to_json(&self) -> String {
        json_text(self)
    }
}

impl From<toml::Table> for Settings {
    fn from(table: toml::Table) -> Self {
        Self(table)
    }
}

/// Writes JSON, by the rules of the type.
impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_table(&self.0, serializer)
    }
}

struct AsJson<'a>(&'a SettingValue);

impl Serialize for AsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            SettingValue::String(text) => serializer.serialize_str(text),
            SettingValue::Integer(number) => serializer.serialize_i64(*number),
            SettingValue::Float(number) if number.is_finite() => serializer.serialize_f64(*number),
            SettingValue::Float(number) if number.is_nan() => serializer.serialize_str("NaN"),
            SettingValue::Float(number) if *number > 0.0 => serializer.serialize_str("Infinity"),
            SettingValue::Float(_) => serializer.serialize_str("-Infinity"),
            SettingValue::Boolean(truth) => serializer.serialize_bool(*truth),
            SettingValue::Datetime(time) => serializer.collect_str(time),
            SettingValue::Table(table) => serialize_table(table, serializer),
            SettingValue::Array(elements) => {
                let mut array = serializer.serialize_seq(Some(elements.len()))?;
                for element in elements {
                    array.serialize_element(&AsJson(element))?;
                }
                array.end()
            }
        }
    }
}

fn serialize_table<S: Serializer>(table: &toml::Table, serializer: S) -> Result<S::Ok, S::Error> {
    let mut object = serializer.serialize_map(Some(table.len()))?;
    for (name, value) in table {
        object.serialize_entry(name, &AsJson(value))?;
    }
    object.end()
}

/// Returns the value as JSON text. This cannot fail: keys are strings, and every value above has a JSON form.
#[allow(clippy::expect_used, reason = "nothing that a user writes reaches an error here")]
fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("a TOML value always has a JSON form")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        text.parse::<toml::Table>().unwrap().into()
    }

    #[test]
    fn settings_become_json_in_the_order_of_the_file() {
        let settings = settings("z = 1\na = [1.0, true]\nm = { day = 1979-05-27, at = 07:32:00 }\n");
        assert_eq!(settings.to_json(), r#"{"z":1,"a":[1.0,true],"m":{"day":"1979-05-27","at":"07:32:00"}}"#);
        assert_eq!(settings.names().collect::<Vec<_>>(), ["z", "a", "m"]);
    }

    #[test]
    fn a_float_without_a_json_number_becomes_its_name() {
        assert_eq!(settings("x = [nan, inf, -inf]").to_json(), r#"{"x":["NaN","Infinity","-Infinity"]}"#);
    }

    #[test]
    fn a_dot_steps_into_a_table_and_into_nothing_else() {
        let settings = settings("retry = { limit = 3 }\nlist = [1]\n\"a.b\" = 1\n");
        assert_eq!(settings.json("retry.limit").as_deref(), Some("3"));
        assert_eq!(settings.json("retry").as_deref(), Some(r#"{"limit":3}"#));
        for absent in ["limit", "retry.limit.x", "list.0", "a.b", "", "retry."] {
            assert_eq!(settings.json(absent), None, "{absent:?} was found");
        }
    }

    #[test]
    fn no_settings_are_an_empty_object() {
        assert_eq!(Settings::default().to_json(), "{}");
        assert!(Settings::default().is_empty());
    }
}

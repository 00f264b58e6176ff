//! Reads tables of any TOML: `[chainlets.NAME.config]` and those in `[chainlets.NAME.capabilities]`.

use indexmap::IndexMap;
use schemars::{Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use super::super::reader::{Expected, Node, Problems, described, integer};
use super::super::row_type::RowType;
use super::super::settings::{SettingValue, Settings};

/// The most levels that tables and arrays may nest. JSON parsers, which read the settings, have limits not far above.
const MOST_NESTED: usize = 64;

impl RowType for Settings {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "a table of settings"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        let mut settings = Settings::default();
        for (name, node) in node.entries(problems, expected)? {
            if let Some(value) = read_value(problems, &node, MOST_NESTED) {
                settings.insert(name, value);
            }
        }
        Some(settings)
    }

    fn schema((): &(), _: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": true })
    }
}

/// The settings of each capability, by the capability's name.
impl RowType for IndexMap<String, Settings> {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "a table of capabilities"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        let of_one = Expected {
            what: "a table with the settings of the capability",
            example: "search = { index = \"products\" }",
        };
        let mut capabilities = IndexMap::new();
        for (name, node) in node.entries(problems, expected)? {
            let settings = <Settings as RowType>::read(&node, problems, of_one);
            capabilities.extend(settings.map(|settings| (name.to_owned(), settings)));
        }
        Some(capabilities)
    }

    fn schema((): &(), generator: &mut SchemaGenerator) -> Schema {
        Settings::schema(&(), generator)
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

fn read_value(problems: &mut Problems<'_>, node: &Node<'_>, depth: usize) -> Option<SettingValue> {
    match node.value {
        DeValue::String(text) => Some(SettingValue::String(text.to_string())),
        DeValue::Boolean(truth) => Some(SettingValue::Boolean(*truth)),
        DeValue::Datetime(time) => Some(SettingValue::Datetime(*time)),
        DeValue::Integer(number) => match integer(number) {
            Some(number) => Some(SettingValue::Integer(number)),
            None => out_of_range(problems, node, "an integer that fits into 64 bits"),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            // Rust reads 1e999 as infinity, although the file does not say `inf`.
            Ok(float) if !float.is_infinite() || number.as_str().contains("inf") => Some(SettingValue::Float(float)),
            _ => out_of_range(problems, node, "a float that fits into 64 bits"),
        },
        DeValue::Array(_) | DeValue::Table(_) if depth == 0 => {
            let message = format!("the settings nest more than {MOST_NESTED} deep");
            problems.in_value(&node.path, message, "make them flatter, or keep them in a file of assets.files".into());
            None
        }
        DeValue::Array(elements) => {
            let elements = elements.iter().enumerate().filter_map(|(index, element)| {
                let node = Node { path: node.path.index(index), value: element.get_ref() };
                read_value(problems, &node, depth - 1)
            });
            Some(SettingValue::Array(elements.collect()))
        }
        DeValue::Table(table) => {
            let entries = table.iter().filter_map(|(key, value)| {
                let key: &str = key.get_ref();
                let node = Node { path: node.path.key(key), value: value.get_ref() };
                Some((key.to_owned(), read_value(problems, &node, depth - 1)?))
            });
            Some(SettingValue::Table(entries.collect()))
        }
    }
}

fn out_of_range<T>(problems: &mut Problems<'_>, node: &Node<'_>, what: &str) -> Option<T> {
    let message = format!("expected {what}, found {}", described(node.value));
    problems.in_value(&node.path, message, "write it as a string, which the chainlet can parse".to_owned());
    None
}

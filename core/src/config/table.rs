//! Tables of chain.toml, each declared once.
//!
//! A `table!` declares a struct and the keys of the table from which it is read. Everything else about a key comes from
//! that one row: the code that reads it, its default, its bounds, its JSON Schema, and the messages about it.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use toml::de::DeValue;

use super::place::Place;
use super::reader::{Expected, Node, Problems, TableReader};
use super::row_type::{Off, RowType};

/// Declares a table: a struct whose fields are the keys, each with a type that is a [`RowType`] and a default.
///
/// ```text
/// table! {
///     /// The health checks of replicas.
///     #[derive(Debug, Clone, PartialEq)]
///     pub struct Health {
///         /// The number of bad answers in a row, for example `failures = 3`.
///         pub failures: u32 = 3, bounds Count::AtLeastOne("bad answers"), like "failures = 3";
///     }
/// }
/// ```
///
/// The documentation comments are also the descriptions in the JSON Schema. After the default come the parts of the row
/// that it needs; each is a method of [`Row`]. A table without `required` keys implements [`Default`].
macro_rules! table {
    (
        $(#[$($meta:tt)*])*
        $vis:vis struct $Name:ident {
            $(
                $(#[$($row_meta:tt)*])*
                $row_vis:vis $key:ident: $Type:ty = $default:expr $(, $part:ident $($value:expr)?)*;
            )+
        }
    ) => {
        $(#[$($meta)*])*
        #[derive(::serde::Serialize)]
        $vis struct $Name {
            $(
                $(#[$($row_meta)*])*
                #[serde(
                    serialize_with = "crate::config::row_type::RowType::write",
                    skip_serializing_if = "crate::config::row_type::RowType::is_nothing"
                )]
                $row_vis $key: $Type,
            )+
        }

        impl $crate::config::table::Rows for $Name {
            type Rows = ($($crate::config::table::Row<$Type>,)+);

            fn rows() -> Self::Rows {
                ($(
                    $crate::config::table::Row::new(
                        stringify!($key),
                        $crate::config::table::table!(@docs $([$($row_meta)*])*),
                        $default,
                    )$(.$part($($value)?))*,
                )+)
            }

            fn with_defaults() -> Self {
                let ($($key,)+) = Self::rows();
                Self { $($key: $key.default,)+ }
            }

            fn read_rows(
                table: &mut $crate::config::reader::TableReader<'_>,
                problems: &mut $crate::config::reader::Problems<'_>,
            ) -> Self {
                let ($($key,)+) = Self::rows();
                Self { $($key: $key.read(table, problems),)+ }
            }

            fn check_rows(&self, place: &mut $crate::config::place::Place<'_>) {
                let ($($key,)+) = Self::rows();
                $($key.check(&self.$key, place);)+
            }

            fn describe_rows(table: &mut $crate::config::table::TableSchema<'_>) {
                let ($($key,)+) = Self::rows();
                $(table.describe($key);)+
            }
        }

        impl ::schemars::JsonSchema for $Name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($Name).into()
            }

            fn json_schema(generator: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                $crate::config::table::schema::<Self>($crate::config::table::table!(@docs $([$($meta)*])*), generator)
            }
        }

        $crate::config::table::table!(@default $Name $($($part)*)+);
    };

    (@docs $([$($meta:tt)*])*) => { concat!($($crate::config::table::table!(@line $($meta)*)),*) };
    (@line doc = $line:literal) => { concat!($line, "\n") };
    (@line $($other:tt)*) => { "" };

    (@default $Name:ident required $($parts:ident)*) => {};
    (@default $Name:ident $part:ident $($parts:ident)*) => {
        $crate::config::table::table!(@default $Name $($parts)*);
    };
    (@default $Name:ident) => {
        impl Default for $Name {
            fn default() -> Self {
                $crate::config::table::Rows::with_defaults()
            }
        }
    };
}
pub(crate) use table;

/// A key of a table.
pub(crate) struct Row<T: RowType> {
    key: &'static str,
    docs: &'static str,
    /// The value of a key that is left out or that cannot be read.
    pub(crate) default: T,
    is_required: bool,
    /// The key that may stand in the place of a required key.
    unless: Option<&'static str>,
    what: Option<&'static str>,
    example: &'static str,
    bounds: T::Bounds,
    help: Option<&'static str>,
}

impl<T: RowType> Row<T> {
    pub(crate) fn new(key: &'static str, docs: &'static str, default: T) -> Self {
        let bounds = T::Bounds::default();
        // The name of a field that is also a word of Rust.
        let key = key.strip_prefix("r#").unwrap_or(key);
        Self { key, docs, default, is_required: false, unless: None, what: None, example: "", bounds, help: None }
    }

    /// Makes it a mistake to leave the key out. Its default only stands in for a value that cannot be read.
    pub(crate) fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// Sets the key that may stand in the place of this one. When the table is read, code must have added this key.
    pub(crate) fn unless(self, other: &'static str) -> Self {
        Self { unless: Some(other), ..self }
    }

    /// Sets the limits of the values.
    pub(crate) fn bounds(self, bounds: T::Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// Sets what the values are, in words that fit after "expected". By default, the type says it.
    pub(crate) fn is(self, what: &'static str) -> Self {
        Self { what: Some(what), ..self }
    }

    /// Sets an example as it could stand in the file.
    pub(crate) fn like(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// Sets the help for a value that is out of bounds. By default, it is the example, or what the type says.
    pub(crate) fn help(self, help: &'static str) -> Self {
        Self { help: Some(help), ..self }
    }

    fn expected(&self) -> Expected {
        Expected { what: self.what.unwrap_or_else(|| T::what(&self.bounds)), example: self.example }
    }

    pub(crate) fn read(self, table: &mut TableReader<'_>, problems: &mut Problems<'_>) -> T {
        let expected = self.expected();
        let node = if self.is_required { table.required(self.key, expected) } else { table.optional(self.key) };
        node.and_then(|node| T::read(&node, problems, expected)).unwrap_or(self.default)
    }

    pub(crate) fn check(&self, value: &T, place: &mut Place<'_>) {
        value.check(&self.bounds, &mut place.key(self.key, self.expected(), self.help));
    }
}

/// The keys of a table. `table!` implements it.
pub(crate) trait Rows: JsonSchema + Serialize + Sized {
    /// A [`Row`] for each key.
    type Rows;

    fn rows() -> Self::Rows;

    fn with_defaults() -> Self;

    fn read_rows(table: &mut TableReader<'_>, problems: &mut Problems<'_>) -> Self;

    fn check_rows(&self, place: &mut Place<'_>);

    fn describe_rows(table: &mut TableSchema<'_>);
}

/// The parts of a table that go beyond its keys.
pub(crate) trait Table: Rows {
    /// The table in words that fit after "expected".
    const WHAT: &'static str;

    /// Keys that users often try in this table, each with the help that a message gives.
    const HINTS: &'static [(&'static str, &'static str)] = &[];

    /// The meaning of `false` in the place of the table.
    const OFF: Off = Off::Wrong;

    /// Reads a value that is not a table, if there is such a short form.
    fn read_short(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.mistyped(problems, expected)
    }

    /// Returns the JSON Schema of the short form, if there is one.
    fn short_schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }

    /// Checks the rules between the keys.
    fn check_rules(&self, _: &mut Place<'_>) {}
}

impl<T: Table> RowType for T {
    type Bounds = ();

    const OFF: Off = <T as Table>::OFF;

    fn what((): &()) -> &'static str {
        T::WHAT
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        let DeValue::Table(table) = node.value else { return T::read_short(node, problems, expected) };
        let mut table = TableReader::new(node.path.clone(), table);
        let value = T::read_rows(&mut table, problems);
        table.finish(problems, T::HINTS);
        Some(value)
    }

    fn schema((): &(), generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<T>();
        match T::short_schema(generator) {
            Some(short) => json_schema!({ "anyOf": [short, table] }),
            None => table,
        }
    }

    fn stand_in() -> Option<Self> {
        Some(T::with_defaults())
    }

    fn check(&self, (): &(), place: &mut Place<'_>) {
        self.check_rows(place);
        self.check_rules(place);
    }
}

/// The JSON Schema of a table, while its keys are added.
pub(crate) struct TableSchema<'a> {
    generator: &'a mut SchemaGenerator,
    properties: serde_json::Map<String, serde_json::Value>,
    required: Vec<&'static str>,
    /// Keys of which one at least must be there.
    either: Vec<[&'static str; 2]>,
}

impl TableSchema<'_> {
    pub(crate) fn describe<T: RowType>(&mut self, row: Row<T>) {
        let mut schema = T::schema(&row.bounds, self.generator);
        schema.insert("description".to_owned(), described(row.docs).into());
        if let Some(other) = row.unless {
            self.either.push([row.key, other]);
        } else if row.is_required {
            self.required.push(row.key);
        } else if !row.default.is_nothing() {
            // A default has a JSON form, because a chain.toml could have it.
            let default = serde_json::to_value(Written(&row.default)).unwrap_or_default();
            schema.insert("default".to_owned(), default);
        }
        self.properties.insert(row.key.to_owned(), schema.to_value());
    }
}

/// Returns the JSON Schema of a table with the documentation comment `docs`.
pub(crate) fn schema<T: Rows>(docs: &str, generator: &mut SchemaGenerator) -> Schema {
    let mut table =
        TableSchema { generator, properties: serde_json::Map::new(), required: Vec::new(), either: Vec::new() };
    T::describe_rows(&mut table);
    let TableSchema { properties, required, either, .. } = table;
    let mut schema = json_schema!({
        "type": "object",
        "description": described(docs),
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    for keys in either {
        schema.insert("anyOf".to_owned(), keys.map(|key| serde_json::json!({ "required": [key] })).to_vec().into());
    }
    schema
}

/// Returns the text of a documentation comment, without the space that begins each line.
fn described(docs: &str) -> String {
    let lines: Vec<&str> = docs.trim_end().split('\n').map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    lines.join("\n")
}

/// Serializes a value as in chain.toml.
struct Written<'a, T>(&'a T);

impl<T: RowType> Serialize for Written<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

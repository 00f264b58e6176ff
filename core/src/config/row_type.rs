//! The types that the values of chain.toml can have.

use std::path::PathBuf;
use std::time::Duration;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use toml::de::DeValue;

use super::place::Place;
use super::reader::{Expected, Node, Problems};
use super::size::ByteSize;

/// The longest time that a setting may have. A call that takes longer is a batch job, and needs no timeout.
const LONGEST_TIME: Duration = Duration::from_hours(7 * 24);

/// A type of the values of chain.toml. It says how its values are read, checked, written and described, so that a key
/// only has to name the type.
pub(crate) trait RowType: Serialize + Sized {
    /// The limits that a key can set for its values.
    type Bounds: Default;

    /// The meaning of `false` for a key whose value may be missing.
    const OFF: Off = Off::Wrong;

    /// Returns the values in words that fit after "expected".
    fn what(bounds: &Self::Bounds) -> &'static str;

    /// Reads a value, or notes what is wrong with it.
    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self>;

    /// Returns the JSON Schema of the values.
    fn schema(bounds: &Self::Bounds, generator: &mut SchemaGenerator) -> Schema;

    /// Writes the value as in chain.toml.
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.serialize(serializer)
    }

    /// Returns true for the value of a key that is left out, if nothing is written for it.
    fn is_nothing(&self) -> bool {
        false
    }

    /// Returns a value in place of an element that cannot be read, so that the elements after it keep their indices.
    /// Without one, a list with such an element counts as empty.
    fn stand_in() -> Option<Self> {
        None
    }

    /// Checks a value that may come from code instead of a file.
    fn check(&self, _bounds: &Self::Bounds, _place: &mut Place<'_>) {}
}

/// The meaning of `false` for a key whose value may be missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Off {
    /// It is a mistake.
    Wrong,
    /// There is no value. Then nothing is written for the key.
    Read,
    /// There is no value. Then `false` is written for the key.
    Written,
}

impl<T: RowType> RowType for Option<T> {
    type Bounds = T::Bounds;

    fn what(bounds: &T::Bounds) -> &'static str {
        T::what(bounds)
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        match node.value {
            DeValue::Boolean(false) if T::OFF != Off::Wrong => Some(None),
            _ => T::read(node, problems, expected).map(Some),
        }
    }

    fn schema(bounds: &T::Bounds, generator: &mut SchemaGenerator) -> Schema {
        T::schema(bounds, generator)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Some(value) => value.write(serializer),
            None => serializer.serialize_bool(false),
        }
    }

    fn is_nothing(&self) -> bool {
        self.is_none() && T::OFF != Off::Written
    }

    fn check(&self, bounds: &T::Bounds, place: &mut Place<'_>) {
        if let Some(value) = self {
            value.check(bounds, place);
        }
    }
}

/// Reads an array, and every element of it.
impl<T: RowType> RowType for Vec<T> {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "an array"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        let of_element = Expected { what: T::what(&T::Bounds::default()), ..expected };
        let elements = node.elements(problems, expected)?.into_iter();
        let values: Vec<_> = elements.map(|node| T::read(&node, problems, of_element).or_else(T::stand_in)).collect();
        values.into_iter().collect()
    }

    fn schema((): &(), generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": T::schema(&T::Bounds::default(), generator) })
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }

    fn check(&self, (): &(), place: &mut Place<'_>) {
        for (index, value) in self.iter().enumerate() {
            value.check(&T::Bounds::default(), &mut place.inner(place.at.index(index)));
        }
    }
}

/// The limits of a count.
#[derive(Default)]
pub(crate) enum Count {
    #[default]
    Any,
    /// At least one of these things.
    AtLeastOne(&'static str),
    /// At least one, which the rules of the table check.
    AtLeastOneByRule,
}

impl RowType for u32 {
    type Bounds = Count;

    fn what(bounds: &Count) -> &'static str {
        match bounds {
            Count::Any => "a whole number from 0 to 4294967295",
            Count::AtLeastOne(_) | Count::AtLeastOneByRule => "a whole number from 1 to 4294967295",
        }
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.count(problems, expected)
    }

    fn schema(bounds: &Count, _: &mut SchemaGenerator) -> Schema {
        let least = u32::from(!matches!(bounds, Count::Any));
        json_schema!({ "type": "integer", "format": "uint32", "minimum": least })
    }

    fn check(&self, bounds: &Count, place: &mut Place<'_>) {
        if let (Count::AtLeastOne(of_what), 0) = (bounds, *self) {
            place.out_of_bounds(
                format!("expected at least 1, found 0 {of_what}"),
                "raise it, or remove it for the default",
            );
        }
    }
}

/// The limits of a number with a fraction. It is always finite and greater than 0.
#[derive(Default)]
pub(crate) enum Number {
    #[default]
    Any,
    AtMostOne,
    LessThanOne,
}

impl RowType for f64 {
    type Bounds = Number;

    fn what(bounds: &Number) -> &'static str {
        match bounds {
            Number::Any => "a number greater than 0",
            Number::AtMostOne => "a share greater than 0 and at most 1",
            Number::LessThanOne => "a share greater than 0 and less than 1",
        }
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.number(problems, expected)
    }

    fn schema(bounds: &Number, _: &mut SchemaGenerator) -> Schema {
        let mut schema = json_schema!({ "type": "number", "format": "double", "exclusiveMinimum": 0 });
        match bounds {
            Number::Any => None,
            Number::AtMostOne => schema.insert("maximum".to_owned(), 1.into()),
            Number::LessThanOne => schema.insert("exclusiveMaximum".to_owned(), 1.into()),
        };
        schema
    }

    fn check(&self, bounds: &Number, place: &mut Place<'_>) {
        let is_within = match bounds {
            Number::Any => self.is_finite(),
            Number::AtMostOne => *self <= 1.0,
            Number::LessThanOne => *self < 1.0,
        };
        if !(is_within && *self > 0.0) {
            place.unexpected(self);
        }
    }
}

impl RowType for bool {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "true or false"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.truth(problems, expected)
    }

    fn schema((): &(), _: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean" })
    }
}

/// The longest time that a setting may have.
pub(crate) struct AtMost(pub(crate) Duration);

impl Default for AtMost {
    fn default() -> Self {
        Self(LONGEST_TIME)
    }
}

impl RowType for Duration {
    type Bounds = AtMost;

    fn what(_: &AtMost) -> &'static str {
        "a length of time with a unit"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.parsed(problems, expected, humantime::parse_duration)
    }

    fn schema(_: &AtMost, _: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*self))
    }

    fn check(&self, AtMost(longest): &AtMost, place: &mut Place<'_>) {
        if self.is_zero() || self > longest {
            let (found, longest) = (humantime::format_duration(*self), humantime::format_duration(*longest));
            place.wrong(format!("expected more than 0s and at most {longest}, found {found}"));
        }
    }
}

/// A path, which may not be empty.
impl RowType for PathBuf {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "the path of a folder"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.text(problems, expected).map(Self::from)
    }

    fn schema((): &(), generator: &mut SchemaGenerator) -> Schema {
        String::schema(&Text::NotEmpty, generator)
    }

    fn check(&self, (): &(), place: &mut Place<'_>) {
        if self.as_os_str().is_empty() {
            place.wrong("expected a path, found an empty text");
        }
    }
}

/// The limits of a text, for editors. The rules of the table check them, with messages of their own.
#[derive(Default)]
pub(crate) enum Text {
    #[default]
    NotEmpty,
    Any,
    /// It matches this pattern.
    Matches(&'static str),
}

impl RowType for String {
    type Bounds = Text;

    fn what(_: &Text) -> &'static str {
        "a text"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.text(problems, expected).map(str::to_owned)
    }

    fn schema(bounds: &Text, _: &mut SchemaGenerator) -> Schema {
        match bounds {
            Text::NotEmpty => json_schema!({ "type": "string", "minLength": 1 }),
            Text::Any => json_schema!({ "type": "string" }),
            Text::Matches(pattern) => json_schema!({ "type": "string", "pattern": pattern }),
        }
    }
}

/// The limits of an amount of memory.
#[derive(Default)]
pub(crate) enum Sizes {
    #[default]
    Any,
    AtLeast(ByteSize),
    FromTo(ByteSize, ByteSize),
}

impl RowType for ByteSize {
    type Bounds = Sizes;

    fn what(_: &Sizes) -> &'static str {
        "an amount of memory with a unit"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.parsed(problems, expected, str::parse)
    }

    fn schema(_: &Sizes, _: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^\s*[0-9][0-9_]*(\.[0-9]+)?\s*([KMGTPE]i?)?B\s*$" })
    }

    fn check(&self, bounds: &Sizes, place: &mut Place<'_>) {
        match *bounds {
            Sizes::AtLeast(least) if *self < least => place.out_of_bounds(
                format!("expected at least {least}, found {self}"),
                "raise it, or remove it for the default",
            ),
            Sizes::FromTo(least, most) if *self < least || *self > most => {
                place.wrong(format!("expected from {least} to {most}, found {self}"));
            }
            _ => {}
        }
    }
}

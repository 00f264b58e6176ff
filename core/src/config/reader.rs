//! Reads parsed TOML by what each key expects, and notes every mistake on the way.
//!
//! A reading function takes a [`Node`] and returns the value, or notes a mistake in [`Problems`] and returns `None`.
//! Its caller then goes on with the other keys, so that one look at a file finds everything that is wrong with it.

use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;
use std::str::FromStr;

use indexmap::IndexMap;
use toml::de::{DeInteger, DeTable, DeValue};

use super::error::ConfigError;
use super::key::{KeyPath, quoted_unless_bare};
use super::name::NameError;
use super::row_type::RowType;
use super::source::Source;

/// The most mistakes that are reported at once. The others come to light when these are corrected.
pub(crate) const MOST_REPORTED: usize = 100;

/// The longest part of a value that a message repeats, in characters.
const SHOWN_VALUE: usize = 40;

/// The description of the values that a key may have, for messages.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    /// The values in words that fit after "expected", such as `a size of memory with a unit`.
    pub(crate) what: &'static str,
    /// An example as it could stand in the file, such as `memory = "256MiB"`.
    pub(crate) example: &'static str,
}

/// The mistakes found so far.
pub(crate) struct Problems<'a> {
    source: &'a Source,
    document: &'a DeTable<'a>,
    found: Vec<ConfigError>,
    /// The keys that have a mistake, or whose absence another mistake explains. [`Problems::add_independent`] drops
    /// mistakes inside or around these keys.
    settled: HashSet<KeyPath>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(source: &'a Source, document: &'a DeTable<'a>) -> Self {
        Self { source, document, found: Vec::new(), settled: HashSet::new() }
    }

    /// Notes a mistake in the value of `path`.
    pub(crate) fn in_value(&mut self, path: &KeyPath, message: String, help: String) {
        if self.has_room_for(path) {
            self.found.push(ConfigError::new(self.source.locate_in(self.document, path), message, help));
        }
    }

    /// Notes a mistake in the key `path` itself.
    pub(crate) fn in_key(&mut self, path: &KeyPath, message: String, help: String) {
        if self.has_room_for(path) {
            self.found.push(ConfigError::new(self.source.locate_key_in(self.document, path), message, help));
        }
    }

    /// Adds mistakes that were found by other means, except those that only follow from mistakes noted here.
    pub(crate) fn add_independent(&mut self, errors: Vec<ConfigError>) {
        for error in errors {
            let path = error.location().key();
            let follows = self.settled.iter().any(|settled| settled.is_within(path) || path.is_within(settled));
            if !follows && self.found.len() < MOST_REPORTED {
                self.found.push(error);
            }
        }
    }

    pub(crate) fn into_errors(self) -> Vec<ConfigError> {
        self.found
    }

    /// Marks `path` as a key with a mistake. Returns true if the limit permits to note one more mistake.
    fn has_room_for(&mut self, path: &KeyPath) -> bool {
        self.settled.insert(path.clone());
        self.found.len() < MOST_REPORTED
    }
}

/// A value and its path in the file.
pub(crate) struct Node<'a> {
    pub(crate) path: KeyPath,
    pub(crate) value: &'a DeValue<'a>,
}

impl<'a> Node<'a> {
    /// Notes that the value is not of the expected type, without showing any of it, because it may be a secret.
    pub(crate) fn mistyped_in_private<T>(&self, problems: &mut Problems<'_>, message: &str, help: &str) -> Option<T> {
        if problems.has_room_for(&self.path) {
            let place = problems.source.locate_in(problems.document, &self.path).without_snippet();
            problems.found.push(ConfigError::new(place, message, help));
        }
        None
    }

    /// Notes that the value is not of the expected type.
    pub(crate) fn mistyped<T>(&self, problems: &mut Problems<'_>, expected: Expected) -> Option<T> {
        let message = format!("expected {}, found {}", expected.what, described(self.value));
        problems.in_value(&self.path, message, format!("write it like {}", expected.example));
        None
    }

    pub(crate) fn text(&self, problems: &mut Problems<'_>, expected: Expected) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => self.mistyped(problems, expected),
        }
    }

    /// Reads a text with `parse`. If that fails, the message ends with the error of `parse`.
    pub(crate) fn parsed<T, E: Display>(
        &self,
        problems: &mut Problems<'_>,
        expected: Expected,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(problems, expected)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(cause) => {
                let message = format!("expected {}, found {}: {cause}", expected.what, described(self.value));
                problems.in_value(&self.path, message, format!("write it like {}", expected.example));
                None
            }
        }
    }

    pub(crate) fn name<T>(&self, problems: &mut Problems<'_>, expected: Expected) -> Option<T>
    where
        T: FromStr<Err = NameError>,
    {
        let text = self.text(problems, expected)?;
        match text.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                problems.in_value(&self.path, error.to_string(), help_for_name(&error, expected));
                None
            }
        }
    }

    pub(crate) fn count(&self, problems: &mut Problems<'_>, expected: Expected) -> Option<u32> {
        match self.value {
            DeValue::Integer(number) => match integer(number).and_then(|number| u32::try_from(number).ok()) {
                Some(count) => Some(count),
                None => self.mistyped(problems, expected),
            },
            _ => self.mistyped(problems, expected),
        }
    }

    pub(crate) fn number(&self, problems: &mut Problems<'_>, expected: Expected) -> Option<f64> {
        let number = match self.value {
            DeValue::Integer(number) => integer(number).and_then(|number| i32::try_from(number).ok()).map(f64::from),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            return self.mistyped(problems, expected);
        }
        number
    }

    pub(crate) fn truth(&self, problems: &mut Problems<'_>, expected: Expected) -> Option<bool> {
        match self.value {
            DeValue::Boolean(truth) => Some(*truth),
            _ => self.mistyped(problems, expected),
        }
    }

    /// Reads `true` as the default.
    pub(crate) fn default_if_true<T: Default>(&self, problems: &mut Problems<'_>, expected: Expected) -> Option<T> {
        match self.value {
            DeValue::Boolean(true) => Some(T::default()),
            _ => self.mistyped(problems, expected),
        }
    }

    pub(crate) fn elements(&self, problems: &mut Problems<'_>, expected: Expected) -> Option<Vec<Node<'a>>> {
        match self.value {
            DeValue::Array(elements) => Some(
                elements
                    .iter()
                    .enumerate()
                    .map(|(index, element)| Node { path: self.path.index(index), value: element.get_ref() })
                    .collect(),
            ),
            _ => self.mistyped(problems, expected),
        }
    }

    /// Reads a table whose keys the user chooses.
    pub(crate) fn entries(&self, problems: &mut Problems<'_>, expected: Expected) -> Option<Vec<(&'a str, Node<'a>)>> {
        match self.value {
            DeValue::Table(table) => Some(
                table
                    .iter()
                    .map(|(key, value)| {
                        let key: &str = key.get_ref();
                        (key, Node { path: self.path.key(key), value: value.get_ref() })
                    })
                    .collect(),
            ),
            _ => self.mistyped(problems, expected),
        }
    }

    /// Reads a table whose keys are names that the user chooses. Leaves out entries that cannot be read.
    pub(crate) fn named<K, V>(
        &self,
        problems: &mut Problems<'_>,
        expected: Expected,
        of_entry: Expected,
    ) -> Option<IndexMap<K, V>>
    where
        K: FromStr<Err = NameError> + Hash + Eq,
        V: RowType,
    {
        let mut named = IndexMap::new();
        for (key, node) in self.entries(problems, expected)? {
            let name = named_key(key, &node, problems, expected);
            let value = V::read(&node, problems, of_entry);
            if let (Some(name), Some(value)) = (name, value) {
                named.insert(name, value);
            }
        }
        Some(named)
    }

    /// Reads a table whose keys are known.
    pub(crate) fn table(&self, problems: &mut Problems<'_>, expected: Expected) -> Option<TableReader<'a>> {
        match self.value {
            DeValue::Table(table) => Some(TableReader::new(self.path.clone(), table)),
            _ => self.mistyped(problems, expected),
        }
    }
}

/// Parses `key` as a name, in a table whose keys are names. If it is not a name, notes the mistake.
pub(crate) fn named_key<T>(key: &str, node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<T>
where
    T: FromStr<Err = NameError>,
{
    match key.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            problems.in_key(&node.path, error.to_string(), help_for_name(&error, expected));
            None
        }
    }
}

/// A table that is read key by key. A key that no code has asked for by the end is unknown.
pub(crate) struct TableReader<'a> {
    path: KeyPath,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
    missing: Vec<(&'static str, Expected)>,
}

impl<'a> TableReader<'a> {
    pub(crate) fn new(path: KeyPath, table: &'a DeTable<'a>) -> Self {
        Self { path, table, known: Vec::new(), missing: Vec::new() }
    }

    /// Returns the value of `key`, if there is one.
    pub(crate) fn optional(&mut self, key: &'static str) -> Option<Node<'a>> {
        self.known.push(key);
        let value = self.table.get(key)?;
        Some(Node { path: self.path.key(key), value: value.get_ref() })
    }

    /// Returns the value of `key`. If it is missing, [`TableReader::finish`] notes a mistake.
    pub(crate) fn required(&mut self, key: &'static str, expected: Expected) -> Option<Node<'a>> {
        let node = self.optional(key);
        if node.is_none() {
            self.missing.push((key, expected));
        }
        node
    }

    /// Notes the unknown keys and the missing keys. `hints` says, for keys that users often try here, what to write
    /// instead.
    pub(crate) fn finish(self, problems: &mut Problems<'_>, hints: &[(&str, &str)]) {
        let mut misspelt = HashSet::new();
        for (key, _) in self.table {
            let key: &str = key.get_ref();
            if self.known.contains(&key) {
                continue;
            }
            let near = nearest(key, self.known.iter().copied());
            let hint = hints.iter().find(|(name, _)| *name == key).map(|(_, hint)| *hint);
            let help = match (hint, near) {
                (Some(hint), _) => hint.to_owned(),
                (None, Some(near)) => format!("did you mean {near}?"),
                (None, None) => "remove it, or correct its name".to_owned(),
            };
            misspelt.extend(near.filter(|near| !self.table.contains_key(*near)));
            let message =
                format!("unknown key {}; expected one of: {}", quoted_unless_bare(key), self.known.join(", "));
            problems.in_key(&self.path.key(key), message, help);
        }
        for (key, expected) in self.missing {
            let path = self.path.key(key);
            if misspelt.contains(key) {
                problems.settled.insert(path);
                continue;
            }
            let message = format!("the key {key} is missing; expected {}", expected.what);
            problems.in_value(&path, message, format!("add it, for example {}", expected.example));
        }
    }
}

/// The least length that a text must have to count as the beginning of a name.
const LEAST_BEGINNING: usize = 3;

/// Returns the candidate of which `name` is most likely a misspelling. If there is none, returns the candidate that
/// begins with `name`, such as `memory` for `mem`, or with which `name` begins.
pub(crate) fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let plain = |name: &str| name.to_ascii_lowercase().replace('_', "-");
    // No misspelling of a name is this long, so the limit only keeps the comparison cheap.
    if name.len() > 256 {
        return None;
    }
    let name = plain(name);
    let begins = |one: &str, other: &str| one.len() >= LEAST_BEGINNING && other.starts_with(one);
    candidates
        .filter_map(|candidate| {
            let plain = plain(candidate);
            let distance = strsim::osa_distance(&name, &plain);
            let is_misspelt = distance <= plain.len().max(name.len()) / 3;
            let is_cut = begins(&name, &plain) || begins(&plain, &name);
            (is_misspelt || is_cut).then_some(((!is_misspelt, distance), candidate))
        })
        .min_by_key(|(likeness, _)| *likeness)
        .map(|(_, candidate)| candidate)
}

/// Returns the integer, if it fits into 64 bits.
pub(crate) fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// Describes the value in words, for messages.
pub(crate) fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => {
            let shown: String = text.chars().take(SHOWN_VALUE).collect();
            let cut = if shown.len() < text.len() { "…" } else { "" };
            format!("{shown:?}{cut}")
        }
        DeValue::Integer(number) => format!("the integer {}", shortened(number.to_string())),
        DeValue::Float(number) => format!("the float {}", shortened(number.to_string())),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(time) => format!("the date or time {time}"),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn shortened(number: String) -> String {
    match number.char_indices().nth(SHOWN_VALUE) {
        Some((end, _)) => format!("{}…", number.get(..end).unwrap_or_default()),
        None => number,
    }
}

fn help_for_name(error: &NameError, expected: Expected) -> String {
    match error.suggestion() {
        Some(suggestion) => format!("did you mean {suggestion:?}?"),
        None => format!("write it like {}", expected.example),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_the_one_that_was_meant() {
        let keys = ["component", "concurrency", "replicas", "cpu"];
        let near = |name| nearest(name, keys.iter().copied());
        assert_eq!(near("componnet"), Some("component"));
        assert_eq!(near("Replica"), Some("replicas"));
        assert_eq!(near("cpus"), Some("cpu"));
        assert_eq!(near("comp"), Some("component"));
        assert_eq!(near("replicas_min"), Some("replicas"));
        assert_eq!(near("timeout"), None);
        assert_eq!(near("co"), None);
        assert_eq!(near(""), None);
    }

    #[test]
    fn a_long_value_is_shortened_in_messages() {
        let long = DeValue::String("x".repeat(500).into());
        assert!(described(&long).chars().count() < 60);
    }
}

//! Errors for text that is not TOML.

use std::ops::Range;

use toml::de::{DeTable, DeValue, Error};

use super::super::error::ConfigError;
use super::super::key::KeyPath;
use super::super::reader::MOST_REPORTED;
use super::super::source::Source;

const DUPLICATE: &str = "duplicate key";
const UNQUOTED: &str = "string values must be quoted, expected literal string";

/// The most levels of keys that [`last_header`] looks at: one more than any key of chain.toml has, so that keys of the
/// settings are named by their first level.
const DEEPEST_KEY: usize = 7;

/// Returns an error for each complaint of the TOML parser, except for those that only follow from others.
pub(super) fn errors(source: &Source, text: &str, document: &DeTable<'_>, errors: &[Error]) -> Vec<ConfigError> {
    let mut errors: Vec<(Range<usize>, &str)> =
        errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message())).collect();
    errors.sort_by_key(|(span, _)| span.start);
    // Further complaints about the same line mostly follow from the first one. So do repeated keys in a repeated table.
    errors.dedup_by_key(|(span, _)| line_around(text, span.start).start);
    errors.dedup_by(|(span, message), (earlier, of_earlier)| {
        *message == DUPLICATE
            && *of_earlier == DUPLICATE
            && is_header(text, earlier.start)
            && text.get(earlier.end..span.end).is_some_and(|between| !between.contains("\n["))
    });
    errors.truncate(MOST_REPORTED);
    errors.into_iter().map(|(span, message)| error(source, text, document, span, message)).collect()
}

fn error(source: &Source, text: &str, document: &DeTable<'_>, span: Range<usize>, message: &str) -> ConfigError {
    let marked = text.get(span.clone()).unwrap_or_default();
    let place = source.locate_range(&key_at(text, document, &span), &span);
    match message {
        DUPLICATE => ConfigError::new(
            place,
            format!("the key {marked} is here for the second time"),
            "keep one of the two; a table such as [chainlets.NAME] may also be begun only once",
        ),
        UNQUOTED => ConfigError::new(
            place,
            "expected a value, found text without quotes, or nothing",
            "put text in quotes, such as \"text\"; numbers, true and false stand without",
        ),
        _ => ConfigError::new(
            place,
            format!("not TOML: {message}"),
            "write KEY = VALUE, with text in quotes; https://toml.io explains the syntax",
        ),
    }
}

/// Returns the key on whose line `span` is, or else the table around it, as far as they can be made out in broken text.
fn key_at(text: &str, document: &DeTable<'_>, span: &Range<usize>) -> KeyPath {
    let line = line_around(text, span.start);
    let table = if is_header(text, span.start) {
        KeyPath::root()
    } else {
        last_header(text, document, &KeyPath::root(), span.start).map_or_else(KeyPath::root, |(_, table)| table)
    };
    let written = text.get(line.start..span.end).unwrap_or_default();
    let key = match written.split_once('=') {
        Some((key, _)) => only_key(&format!("{key} = 0")),
        None => only_key(&format!("{written} = 0")).or_else(|| only_key(&format!("{written}]"))),
    };
    key.map_or_else(|| table.clone(), |key| table.join(&key))
}

/// Returns the path of the key in a text that has just one.
fn only_key(text: &str) -> Option<KeyPath> {
    let document = DeTable::parse(text).ok()?;
    let mut path = KeyPath::root();
    let mut table = document.get_ref();
    loop {
        let mut entries = table.iter();
        let Some((key, value)) = entries.next() else { return Some(path) };
        path = path.key(key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => return Some(path),
        }
    }
}

/// Returns where the last table header before `offset` begins, and the path of its table.
fn last_header(text: &str, table: &DeTable<'_>, path: &KeyPath, offset: usize) -> Option<(usize, KeyPath)> {
    if path.segments().len() >= DEEPEST_KEY {
        return None;
    }
    let headers = table.iter().flat_map(|(key, value)| {
        let path = path.key(key.get_ref());
        let tables: Vec<_> = match value.get_ref() {
            DeValue::Table(table) => vec![(path, value.span(), table)],
            DeValue::Array(elements) => elements
                .iter()
                .enumerate()
                .filter_map(|(index, element)| Some((path.index(index), element.span(), element.get_ref().as_table()?)))
                .collect(),
            _ => Vec::new(),
        };
        tables.into_iter().flat_map(|(path, span, table)| {
            let inner = last_header(text, table, &path, offset);
            let is_header = text.get(span.start..).is_some_and(|text| text.starts_with('['));
            inner.into_iter().chain((is_header && span.start <= offset).then_some((span.start, path)))
        })
    });
    headers.max_by_key(|(start, _)| *start)
}

/// Returns the range of the line around `offset`, without its newline.
fn line_around(text: &str, offset: usize) -> Range<usize> {
    let offset = text.floor_char_boundary(offset.min(text.len()));
    let (before, after) = text.split_at(offset);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let end = after.find('\n').map_or(text.len(), |newline| offset + newline);
    start..end
}

fn is_header(text: &str, offset: usize) -> bool {
    text.get(line_around(text, offset)).is_some_and(|line| line.trim_start().starts_with('['))
}

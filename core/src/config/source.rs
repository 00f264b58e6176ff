//! The text of a chain.toml, and the positions of its keys.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::key::{KeyPath, Segment};
use super::location::Location;

/// The text of a file, with the file's path.
///
/// It keeps no table of positions: only errors need them, and then parsing once more is cheap.
#[derive(Clone)]
pub(super) struct Source {
    origin: PathBuf,
    text: String,
}

/// The position of one key.
struct Found {
    /// The key itself, in a table's header or before the `=`. An array's element has no key.
    key: Option<Range<usize>>,
    /// The range that an error about the value points at. It is the value itself, but for a table it is the key,
    /// because a table may span half of the file or be scattered over it.
    value: Range<usize>,
    /// True if this is the key that was looked for; false if it is a table around it.
    exact: bool,
}

impl Source {
    pub(super) fn new(origin: &Path, text: &str) -> Self {
        Self { origin: origin.to_owned(), text: text.to_owned() }
    }

    /// Returns the location of the value of `path`. If the file does not have the key, returns the nearest table around
    /// it.
    pub(super) fn locate(&self, path: &KeyPath) -> Location {
        let (table, _) = DeTable::parse_recoverable(&self.text);
        self.locate_in(table.get_ref(), path)
    }

    /// Does the same as [`Source::locate`], with the text already parsed as `table`.
    pub(super) fn locate_in(&self, table: &DeTable<'_>, path: &KeyPath) -> Location {
        match find(table, path) {
            Some(found) => self.locate_range(path, &found.value),
            None => self.locate_range(path, &(0..0)).without_snippet(),
        }
    }

    /// Returns the location of the key of `path`, rather than of its value.
    pub(super) fn locate_key_in(&self, table: &DeTable<'_>, path: &KeyPath) -> Location {
        match find(table, path) {
            Some(Found { key: Some(key), exact: true, .. }) => self.locate_range(path, &key),
            _ => self.locate_in(table, path),
        }
    }

    /// Returns the location of the bytes `range`, with `path` as its key.
    pub(super) fn locate_range(&self, path: &KeyPath, range: &Range<usize>) -> Location {
        Location::in_text(&self.origin, &self.text, path.clone(), range.start, range.end)
    }
}

/// Walks down `path` as far as it goes. Returns `None` if not even its first key is there.
fn find(table: &DeTable<'_>, path: &KeyPath) -> Option<Found> {
    let mut segments = path.segments().iter();
    let Some(Segment::Key(first)) = segments.next() else { return None };
    let (key, value) = table.get_key_value(first.as_str())?;
    let mut key = Some(key.span());
    let mut value = value;
    let mut exact = true;
    for segment in segments {
        let next = match (segment, value.get_ref()) {
            (Segment::Key(name), DeValue::Table(table)) => {
                table.get_key_value(name.as_str()).map(|(key, value)| (Some(key.span()), value))
            }
            (Segment::Index(index), DeValue::Array(elements)) => elements.get(*index).map(|value| (None, value)),
            _ => None,
        };
        let Some(next) = next else {
            exact = false;
            break;
        };
        (key, value) = next;
    }
    let points_at = match (&key, value.get_ref()) {
        (Some(key), DeValue::Table(_)) => key.clone(),
        _ => value.span(),
    };
    Some(Found { key, value: points_at, exact })
}

/// Shows only the file's path, because its text would drown everything else.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.origin).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[chain]\nname = \"c\"\n[chainlets.a]\nfiles = [{ path = \"/x\" }]\n";

    fn place(path: KeyPath) -> String {
        Source::new(Path::new("f"), TEXT).locate(&path).to_string()
    }

    #[test]
    fn a_value_is_found_by_its_path_and_a_table_by_its_header() {
        assert_eq!(place(["chain", "name"].into()), "f:2:8: chain.name");
        assert_eq!(place(["chainlets", "a"].into()), "f:3:12: chainlets.a");
        let file = KeyPath::from(["chainlets", "a", "files"]).index(0).key("path");
        assert_eq!(place(file), "f:4:19: chainlets.a.files[0].path");
    }

    #[test]
    fn a_missing_key_is_reported_at_the_nearest_table_around_it() {
        assert_eq!(place(["chain", "entrypoint"].into()), "f:1:2: chain.entrypoint");
        assert_eq!(place(["chainlets", "b", "component"].into()), "f:3:2: chainlets.b.component");
        assert_eq!(place(["gpu"].into()), "f:1:1: gpu");
        assert_eq!(place(KeyPath::root()), "f:1:1");
    }
}

//! A place in chain.toml, with everything that is needed to show it without the file.

use std::fmt;
use std::path::{Path, PathBuf};

use super::key::KeyPath;

/// The most characters of a source line that are shown. A longer line is cut around the place.
const SHOWN_WIDTH: usize = 120;

/// The place where a setting was made: the key and, for a spec from a file, also the file, the line and the column.
///
/// A location owns the text that it shows, so that an error can outlive its spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    key: KeyPath,
    file: Option<PathBuf>,
    position: Option<Position>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Position {
    /// The byte offset in the file. Locations in one file are ordered by it.
    offset: usize,
    line: usize,
    column: usize,
    snippet: Option<Snippet>,
}

/// One line of the file, cut to a width that can be shown, with a mark at the place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Snippet {
    text: String,
    /// The number of characters of `text` before the mark.
    before: usize,
    /// The number of characters under the mark, at least one.
    marked: usize,
}

impl Location {
    /// Returns a place in a spec that was built in code and has no file.
    #[must_use]
    pub fn in_code(key: impl Into<KeyPath>) -> Self {
        Self { key: key.into(), file: None, position: None }
    }

    /// Returns the place of a file as a whole, for an error that has no position in it.
    #[must_use]
    pub fn in_file(file: impl Into<PathBuf>) -> Self {
        Self { key: KeyPath::root(), file: Some(file.into()), position: None }
    }

    /// Returns the place of the bytes `start..end` of `text`, which is the text of `file` from its beginning.
    pub(super) fn in_text(file: &Path, text: &str, key: KeyPath, start: usize, end: usize) -> Self {
        let start = text.floor_char_boundary(start.min(text.len()));
        let (before, rest) = text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let before_on_line = before.get(line_start..).unwrap_or_default();
        let after_on_line = rest.split('\n').next().unwrap_or_default();
        let column = before_on_line.chars().count() + 1;
        let marked_bytes = end.saturating_sub(start).min(after_on_line.len());
        let marked = after_on_line.get(..marked_bytes).map_or(1, |marked| marked.trim_end().chars().count());
        let line_text = format!("{before_on_line}{}", after_on_line.trim_end_matches('\r'));
        let snippet = Some(Snippet::new(&line_text, column - 1, marked.max(1)));
        Self { key, file: Some(file.to_owned()), position: Some(Position { offset: start, line, column, snippet }) }
    }

    /// Returns the same place without the text of its line, for lines that say too little or may hold a secret.
    pub(crate) fn without_snippet(mut self) -> Self {
        if let Some(position) = &mut self.position {
            position.snippet = None;
        }
        self
    }

    /// Returns the key at this place.
    #[must_use]
    pub fn key(&self) -> &KeyPath {
        &self.key
    }

    /// Returns the file, as it was named to the parser, or `None` for a spec built in code.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns the line, counted from 1.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.position.as_ref().map(|position| position.line)
    }

    /// Returns the column in characters, counted from 1.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        self.position.as_ref().map(|position| position.column)
    }

    /// Returns the text of the line as it is shown: a very long line is cut, and control characters are replaced.
    #[must_use]
    pub fn source_line(&self) -> Option<&str> {
        self.position.as_ref()?.snippet.as_ref().map(|snippet| snippet.text.as_str())
    }

    pub(super) fn offset(&self) -> usize {
        self.position.as_ref().map_or(0, |position| position.offset)
    }

    /// Writes the source line with a mark under the place, or nothing if there is no line to show.
    pub(super) fn write_snippet(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Position { line, snippet: Some(snippet), .. }) = &self.position else {
            return Ok(());
        };
        let number = line.to_string();
        // Tabs stay tabs, so that the mark stands under its place, however wide the terminal shows a tab.
        let indent: String =
            snippet.text.chars().take(snippet.before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        write!(f, "\n{number} | {}", snippet.text)?;
        write!(f, "\n{} | {indent}{}", " ".repeat(number.len()), "^".repeat(snippet.marked))
    }
}

/// Writes `file:line:column: key`, or as much of it as there is.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.to_string();
        let Some(file) = &self.file else { return f.write_str(&key) };
        write!(f, "{}", file.display())?;
        if let Some(Position { line, column, .. }) = &self.position {
            write!(f, ":{line}:{column}")?;
        }
        if !key.is_empty() {
            write!(f, ": {key}")?;
        }
        Ok(())
    }
}

impl Snippet {
    fn new(line: &str, before: usize, marked: usize) -> Self {
        let shown = |c: char| if c != '\t' && c.is_control() { '\u{fffd}' } else { c };
        let total = line.chars().count();
        if total <= SHOWN_WIDTH {
            return Self { text: line.chars().map(shown).collect(), before, marked };
        }
        let skipped = before.saturating_sub(SHOWN_WIDTH / 3);
        let mut text = String::new();
        if skipped > 0 {
            text.push('…');
        }
        let before = before - skipped + usize::from(skipped > 0);
        text.extend(line.chars().skip(skipped).take(SHOWN_WIDTH).map(shown));
        let width = text.chars().count();
        if skipped + SHOWN_WIDTH < total {
            text.push('…');
        }
        Self { text, before, marked: marked.min(width.saturating_sub(before)).max(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str, start: usize, end: usize) -> String {
        struct Shown(Location);
        impl fmt::Display for Shown {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)?;
                self.0.write_snippet(f)
            }
        }
        Shown(Location::in_text(Path::new("chain.toml"), text, KeyPath::from(["k"]), start, end)).to_string()
    }

    #[test]
    fn columns_count_characters_and_the_mark_stands_under_its_place() {
        assert_eq!(marked("a\ngrüße = \"x\"\n", 12, 15), "chain.toml:2:9: k\n2 | grüße = \"x\"\n  |         ^^^");
    }

    #[test]
    fn tabs_are_kept_before_the_mark() {
        assert_eq!(marked("\tk = 1", 5, 6), "chain.toml:1:6: k\n1 | \tk = 1\n  | \t    ^");
    }

    #[test]
    fn a_place_beyond_the_end_is_the_end() {
        assert_eq!(marked("k = ", 99, 99), "chain.toml:1:5: k\n1 | k = \n  |     ^");
        assert_eq!(marked("", 0, 0), "chain.toml:1:1: k\n1 | \n  | ^");
    }

    #[test]
    fn a_mark_over_several_lines_ends_with_its_first_line() {
        assert_eq!(marked("k = [\r\n1]", 4, 9), "chain.toml:1:5: k\n1 | k = [\n  |     ^");
    }

    #[test]
    fn a_long_line_is_cut_around_the_mark() {
        let text = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
        let shown = marked(&text, 500, 504);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[1].starts_with("1 | …aaa") && lines[1].ends_with("bbb…"), "{shown}");
        assert_eq!(lines[1].chars().position(|c| c == 'H'), lines[2].chars().position(|c| c == '^'));
        assert!(lines[1].chars().count() < SHOWN_WIDTH + 10);
    }

    #[test]
    fn control_characters_are_not_echoed_to_the_terminal() {
        assert!(!marked("k = \u{1b}[31m", 4, 5).contains('\u{1b}'));
    }
}

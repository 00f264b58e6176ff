//! Marks words in a piece of text, so that readers find them.

use std::{collections::HashSet, ops::Range};

use crate::Term;

/// Returns the part of `passage` in `window`. It puts `mark` before and after each of the passage's `terms` that is one
/// of the `wanted` stems.
#[must_use]
pub(crate) fn highlight(
    passage: &str,
    window: Range<usize>,
    wanted: &HashSet<&str>,
    terms: &[Term],
    mark: &str,
) -> String {
    let mut marked = String::with_capacity(window.len());
    let mut from = window.start;
    let is_wanted = |term: &&Term| window.contains(&term.range.start) && wanted.contains(term.stem.as_str());
    for Term { range, .. } in terms.iter().filter(is_wanted) {
        let pieces = [passage.get(from..range.start), Some(mark), passage.get(range.clone()), Some(mark)];
        marked.extend(pieces.into_iter().flatten());
        from = range.end;
    }
    marked.push_str(passage.get(from..window.end).unwrap_or_default());
    marked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms;

    fn mark(passage: &str, window: Range<usize>, wanted: &[&str]) -> String {
        highlight(passage, window, &wanted.iter().copied().collect(), &terms(passage), "*")
    }

    #[test]
    fn every_form_of_a_wanted_word_is_marked_whole() {
        assert_eq!(mark("Letters! A letter's seal.", 0..25, &["letter"]), "*Letters*! A *letter's* seal.");
    }

    #[test]
    fn only_the_window_is_shown() {
        assert_eq!(mark("pride and pride", 6..15, &["pride"]), "and *pride*");
    }

    #[test]
    fn nothing_is_marked_without_wanted_words() {
        assert_eq!(mark("pride and prejudice", 0..19, &[]), "pride and prejudice");
    }
}

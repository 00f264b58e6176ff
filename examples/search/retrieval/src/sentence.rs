//! Finds the sentences of English prose.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// Shortened words after which a full stop does not end the sentence.
const ABBREVIATIONS: &[&str] =
    &["Capt.", "Col.", "Dr.", "Esq.", "Gen.", "Lt.", "Mr.", "Mrs.", "Ms.", "Prof.", "Rev.", "St."];

/// Characters that may be between the end of a sentence and the white space after it.
const CLOSERS: &[char] = &['"', '\'', ')', ']', '_', '\u{2019}', '\u{201D}'];

/// Returns the byte ranges of the sentences of `text`, in their order, without the white space between them.
///
/// The boundaries are those of Unicode, with rules that Unicode cannot have: a title ("Mr. Bennet"), an initial ("E.
/// Gardiner") or the end of a line does not end a sentence, and a sentence continues after speech if the next word is
/// in lower case (`"Is he married?" said she`).
#[must_use]
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, piece) in text.split_sentence_bound_indices() {
        let before = text.get(start..at).unwrap_or_default();
        if !before.is_empty() && !continues(before, piece) {
            found.push(start..at);
            start = at;
        }
    }
    found.push(start..text.len());
    found.into_iter().map(|range| trim(text, range)).filter(|range| !range.is_empty()).collect()
}

/// Returns `range` without the white space at its ends.
fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let inside = text.get(range.clone()).unwrap_or_default();
    let start = range.start + inside.len() - inside.trim_start().len();
    start..start + inside.trim().len()
}

/// Returns true if the sentence that ends with `before` continues in `next`.
fn continues(before: &str, next: &str) -> bool {
    let last_word = before.split_whitespace().next_back().unwrap_or_default();
    let last_word = last_word.trim_start_matches(|first: char| !first.is_alphanumeric());
    let is_closed =
        before.trim_end().trim_end_matches(|last: char| CLOSERS.contains(&last)).ends_with(['.', '!', '?', '\u{2026}']);
    !is_closed
        || ABBREVIATIONS.contains(&last_word)
        || is_initial(last_word)
        || next.chars().find(|first| first.is_alphanumeric()).is_some_and(char::is_lowercase)
}

/// Returns true if `word` is one capital letter and a full stop. "I." is excluded, because it ends a sentence more
/// often than it begins a name.
fn is_initial(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(|letter| letter.is_uppercase() && letter != 'I') && letters.as_str() == "."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn a_full_stop_a_question_and_an_exclamation_end_sentences() {
        assert_eq!(cut("He came. Did he? He did!  So."), ["He came.", "Did he?", "He did!", "So."]);
    }

    #[test]
    fn titles_and_initials_do_not_end_a_sentence() {
        assert_eq!(
            cut("Mr. Bennet wrote to E. Gardiner. (Mrs. Long did not.) It is I. Come in."),
            ["Mr. Bennet wrote to E. Gardiner.", "(Mrs. Long did not.)", "It is I.", "Come in."],
        );
    }

    #[test]
    fn a_sentence_goes_on_after_speech() {
        assert_eq!(
            cut("\"Is he married?\" said she. \"No!\" cried he; \"single.\""),
            ["\"Is he married?\" said she.", "\"No!\" cried he; \"single.\""],
        );
    }

    #[test]
    fn empty_text_has_no_sentences() {
        assert_eq!(cut(""), [""; 0]);
        assert_eq!(cut(" \n "), [""; 0]);
    }

    #[test]
    fn a_line_break_inside_a_sentence_does_not_end_it() {
        let wrapped = "A letter was sent by\nElizabeth to her aunt.";
        assert_eq!(cut(wrapped), [wrapped]);
    }
}

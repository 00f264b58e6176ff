//! Turns text into the stems that retrieval compares.

use std::ops::Range;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;

use crate::stop_words::is_stop_word;

/// One word of a text that is no stop word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The stem of the word in lower case: `marri` for "Married" and for "marries".
    pub stem: String,
    /// The place of the word in the text, in bytes.
    pub range: Range<usize>,
}

/// Returns the words of `text` that are no stop words, in their order.
///
/// Words are found by the rules of Unicode, so accents and digits are kept and a hyphen ends a word. Possessive endings
/// are removed, stop words ("the", "was", "whom") are left out, and the other words are reduced to their stems by the
/// Snowball rules for English.
#[must_use]
pub fn terms(text: &str) -> Vec<Term> {
    let stemmer = Stemmer::create(Algorithm::English);
    text.unicode_word_indices()
        .filter_map(|(start, word)| {
            let lower = word.to_lowercase().replace('\u{2019}', "'");
            let bare = lower.strip_suffix("'s").unwrap_or(&lower);
            let bare = bare.trim_matches(['_', '\'']);
            (!bare.is_empty() && !is_stop_word(bare))
                .then(|| Term { stem: stemmer.stem(bare).into_owned(), range: start..start + word.len() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stems(text: &str) -> Vec<String> {
        terms(text).into_iter().map(|term| term.stem).collect()
    }

    #[test]
    fn forms_of_one_word_become_one_stem() {
        assert_eq!(stems("marries married MARRYING"), ["marri", "marri", "marri"]);
    }

    #[test]
    fn possessives_and_emphasis_marks_are_no_part_of_a_word() {
        assert_eq!(stems("Bennet's _Bennet_ Bennet\u{2019}s"), ["bennet"; 3]);
    }

    #[test]
    fn stop_words_have_no_terms() {
        assert_eq!(stems("What was it that he would not be?"), [""; 0]);
        assert_eq!(stems("He didn't, and I won\u{2019}t"), [""; 0]);
    }

    #[test]
    fn case_and_accents_follow_unicode() {
        assert_eq!(stems("ÉLAN Größe"), ["élan", "größe"]);
    }

    #[test]
    fn a_term_knows_its_place_in_the_text() {
        let text = "the naïve Elizabeth's letter";
        let places: Vec<_> = terms(text).into_iter().map(|term| text.get(term.range)).collect();
        assert_eq!(places, [Some("naïve"), Some("Elizabeth's"), Some("letter")]);
    }

    #[test]
    fn text_without_words_has_no_terms() {
        assert_eq!(terms(" -- ?! \u{1F642}"), []);
    }
}

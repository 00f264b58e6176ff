//! Cuts texts into tokens, exactly as the model's own tokenizer does.
//!
//! The model's own tokenizer is the crate `tokenizers`. It brings regular expressions, three other algorithms and
//! threads, which cannot be left out: 120 crates, a minute of compiling for each target, and a component of 2.7 MB. The
//! tests compare this code with its output for texts in many scripts, and for every character.

mod normal;

use std::collections::HashMap;

use unicode_categories::UnicodeCategories as _;

use self::normal::normal;
use crate::Error;

/// The most characters of a word. A longer word is unknown as a whole.
const LONGEST_WORD: usize = 100;
/// Tokens that a text can contain by name.
const NAMED: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// A vocabulary, and the rules that cut a text into its tokens.
#[derive(Debug)]
pub struct WordPiece {
    /// The tokens that begin a word.
    beginnings: HashMap<Box<str>, u32>,
    /// The tokens that continue a word, without the `##` with which vocab.txt marks them.
    continuations: HashMap<Box<str>, u32>,
    /// The longest token, in bytes.
    longest: usize,
    unknown: u32,
    start: u32,
    end: u32,
}

impl WordPiece {
    /// Reads the text of vocab.txt: one token in each line, in the order of their numbers.
    ///
    /// # Errors
    /// Fails if a token is missing that every text needs.
    pub fn read(vocabulary: &str) -> Result<Self, Error> {
        let (mut beginnings, mut continuations, mut longest) = (HashMap::new(), HashMap::new(), 0);
        for (token, id) in vocabulary.lines().zip(0..) {
            longest = longest.max(token.len());
            match token.strip_prefix("##") {
                Some(rest) => continuations.insert(rest.into(), id),
                None => beginnings.insert(token.into(), id),
            };
        }
        let named = |token| beginnings.get(token).copied().ok_or(Error::Vocabulary(token));
        let (unknown, start, end) = (named("[UNK]")?, named("[CLS]")?, named("[SEP]")?);
        Ok(WordPiece { beginnings, continuations, longest, unknown, start, end })
    }

    /// Returns the tokens of `text` between a token for its start and one for its end, at most `most` in total. A
    /// longer text loses its end.
    #[must_use]
    pub fn encode(&self, text: &str, most: usize) -> Vec<u32> {
        let mut ids = vec![self.start];
        let most = most.saturating_sub(1);
        let mut rest = text;
        while ids.len() < most {
            let (before, named, after) = self.split_at_named(rest);
            self.encode_part(before, &mut ids, most);
            match named {
                Some(id) => ids.push(id),
                None => break,
            }
            rest = after;
        }
        ids.truncate(most);
        ids.push(self.end);
        ids
    }

    /// Returns the text before the first token that `text` contains by name, that token, and the text after it.
    fn split_at_named<'t>(&self, text: &'t str) -> (&'t str, Option<u32>, &'t str) {
        for (at, _) in text.match_indices('[') {
            let (before, here) = text.split_at(at);
            let named = NAMED.iter().find_map(|name| Some((here.strip_prefix(name)?, self.beginnings.get(*name)?)));
            if let Some((after, id)) = named {
                return (before, Some(*id), after);
            }
        }
        (text, None, "")
    }

    /// Cuts a part of a text into words and appends their tokens, until there are `most` tokens.
    fn encode_part(&self, text: &str, ids: &mut Vec<u32>, most: usize) {
        let mut word = String::new();
        for character in normal(text) {
            if character.is_whitespace() {
                self.encode_word(&word, ids);
                word.clear();
            } else if character.is_ascii_punctuation() || character.is_punctuation() {
                self.encode_word(&word, ids);
                word.clear();
                word.push(character);
                self.encode_word(&word, ids);
                word.clear();
            } else {
                word.push(character);
            }
            if ids.len() >= most {
                return;
            }
        }
        self.encode_word(&word, ids);
    }

    /// Takes the longest token at the beginning of a word, then the longest continuation at the beginning of the rest,
    /// and so on. If a rest has no token, the whole word is unknown.
    fn encode_word(&self, word: &str, ids: &mut Vec<u32>) {
        if word.is_empty() {
            return;
        }
        let before = ids.len();
        let mut rest = word;
        // The characters of a longer word are not even counted to the end.
        let mut usable = word.chars().nth(LONGEST_WORD).is_none();
        while usable && !rest.is_empty() {
            let tokens = if rest.len() == word.len() { &self.beginnings } else { &self.continuations };
            match longest_prefix(rest, tokens, self.longest) {
                Some((id, after)) => {
                    ids.push(id);
                    rest = after;
                }
                None => usable = false,
            }
        }
        if !usable {
            ids.truncate(before);
            ids.push(self.unknown);
        }
    }
}

/// Returns the longest of `tokens` with which `text` begins, and the text after it. No token has more than `longest`
/// bytes.
fn longest_prefix<'t>(text: &'t str, tokens: &HashMap<Box<str>, u32>, longest: usize) -> Option<(u32, &'t str)> {
    (1..=text.len().min(longest)).rev().find_map(|end| {
        let (prefix, after) = text.split_at_checked(end)?;
        Some((*tokens.get(prefix)?, after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCABULARY: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nun\n##aff\n##able\naff\n,\ncafe\n##s\n";

    fn encode(text: &str) -> Vec<u32> {
        WordPiece::read(VOCABULARY).unwrap().encode(text, 12)
    }

    #[test]
    fn a_word_is_cut_into_the_longest_pieces() {
        assert_eq!(encode("Unaffable"), [2, 4, 5, 6, 3]);
        assert_eq!(encode("aff, cafés"), [2, 7, 8, 9, 10, 3]);
    }

    #[test]
    fn a_word_without_fitting_pieces_is_unknown_as_a_whole() {
        assert_eq!(encode("unable unaffected"), [2, 4, 6, 1, 3]);
        assert_eq!(encode(&format!("un{}", "s".repeat(98))).len(), 12);
        assert_eq!(encode(&format!("un{}", "s".repeat(99))), [2, 1, 3]);
    }

    #[test]
    fn a_text_may_name_a_token() {
        assert_eq!(encode("un[PAD]un [pad]"), [2, 4, 0, 4, 1, 1, 1, 3]);
        assert_eq!(encode("[SEP]"), [2, 3, 3]);
    }

    #[test]
    fn a_text_that_is_too_long_loses_its_end() {
        assert_eq!(encode(&"un ".repeat(100)), [&[2][..], &[4; 10], &[3]].concat());
        assert_eq!(WordPiece::read(VOCABULARY).unwrap().encode("unaffable", 4), [2, 4, 5, 3]);
        assert_eq!(encode(""), [2, 3]);
    }

    #[test]
    fn a_vocabulary_without_the_necessary_tokens_is_refused() {
        assert!(matches!(WordPiece::read("[UNK]\n[CLS]\n"), Err(Error::Vocabulary("[SEP]"))));
    }
}

//! A Markov chain of a text: the words that have followed each pair of words, and how often.

use std::collections::HashMap;

use fastrand::Rng;

/// The number of a word.
type Word = u32;

/// The two words before a word. `None` stands for any word, and two `None` for the beginning of a sentence.
type Before = (Option<Word>, Option<Word>);

/// Words whose full stop does not end a sentence.
const TITLES: [&str; 4] = ["Mr.", "Mrs.", "Dr.", "St."];

/// The order of words, as learnt from a text.
#[derive(Default)]
pub struct Prose {
    words: Vec<String>,
    numbers: HashMap<String, Word>,
    /// A word that followed twice is there twice.
    followers: HashMap<Before, Vec<Word>>,
}

impl Prose {
    /// Learns from the paragraphs of `text`, which blank lines separate. A paragraph that does not end like a sentence
    /// is a heading, and is left out.
    pub fn learn(text: &str) -> Self {
        let mut prose = Self::default();
        let text = plain(text).replace("\r\n", "\n");
        for paragraph in text.split("\n\n") {
            let words: Vec<&str> = paragraph.split_whitespace().collect();
            if words.last().is_some_and(|last| ends_a_sentence(last)) {
                prose.learn_from(&words);
            }
        }
        prose
    }

    fn learn_from(&mut self, words: &[&str]) {
        let mut before: Before = (None, None);
        let mut begins = true;
        for word in words {
            let number = self.number(word);
            let (_, last) = before;
            if begins {
                self.followers.entry((None, None)).or_default().push(number);
            }
            if last.is_some() {
                self.followers.entry((None, last)).or_default().push(number);
                self.followers.entry(before).or_default().push(number);
            }
            before = (last, Some(number));
            begins = ends_a_sentence(word);
        }
    }

    fn number(&mut self, word: &str) -> Word {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let number = self.words.len() as Word;
        self.words.push(word.to_owned());
        self.numbers.insert(word.to_owned(), number);
        number
    }

    /// Returns true if nothing was learnt.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Returns the number of different known words.
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// Returns an endless sequence of words that may follow `prompt`. It is the same each time for the same prompt.
    pub fn after(&self, prompt: &str) -> impl Iterator<Item = &str> {
        let mut random = Rng::with_seed(seed(prompt));
        let prompt = plain(prompt);
        let mut words = prompt.split_whitespace().rev().map(|word| self.numbers.get(word).copied());
        let (last, before_last) = (words.next().flatten(), words.next().flatten());
        let mut before: Before = (before_last, last);
        std::iter::from_fn(move || {
            // If nothing followed these two words, use the words that followed the last one. If there are none either,
            // as at the end of a paragraph, begin a sentence.
            let (_, last) = before;
            let known = [before, (None, last), (None, None)].into_iter().find_map(|key| self.followers.get(&key))?;
            let word = random.choice(known)?;
            before = (last, Some(*word));
            self.words.get(*word as usize).map(String::as_str)
        })
    }
}

/// Returns the text without quotation marks and brackets, which would be unbalanced in a new text, and without the
/// marks of italics.
fn plain(text: &str) -> String {
    text.replace(['"', '(', ')', '_'], "")
}

/// Returns true if a sentence ends with `word`.
pub fn ends_a_sentence(word: &str) -> bool {
    word.ends_with(['.', '!', '?']) && !TITLES.contains(&word)
}

/// Returns the tokens of a word: pieces of up to four letters, the first with a space in front. A language model's
/// tokens are similar pieces.
pub fn pieces(word: &str) -> impl Iterator<Item = String> {
    let letters: Vec<char> = word.chars().collect();
    let pieces: Vec<String> = letters.chunks(4).map(|piece| piece.iter().collect()).collect();
    pieces.into_iter().enumerate().map(|(index, piece)| if index == 0 { format!(" {piece}") } else { piece })
}

/// Returns a number for a text (FNV-1a), so that the same prompt gives the same random choices.
fn seed(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(prose: &Prose, prompt: &str, words: usize) -> String {
        prose.after(prompt).take(words).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_text_continues_as_the_book_did() {
        let prose = Prose::learn("Chapter 1\n\nOne two three\nfour. Five six.");
        assert_eq!(written(&prose, "Well, one, One two", 4), "three four. Five six.");
        // Only one of these two words is known.
        assert_eq!(written(&prose, "unheard-of Five", 1), "six.");
        assert_eq!(prose.words(), 6, "the heading teaches nothing");
    }

    #[test]
    fn an_unknown_prompt_begins_a_sentence() {
        let prose = Prose::learn("Once only.");
        assert_eq!(written(&prose, "whatever", 5), "Once only. Once only. Once");
        assert_eq!(written(&Prose::learn("Chapter 1"), "whatever", 5), "");
    }

    #[test]
    fn the_same_prompt_has_the_same_answer() {
        let prose = Prose::learn("a b. a c. a d. a e. a f. a g.");
        let first = written(&prose, "a", 20);
        assert_eq!(written(&prose, "a", 20), first);
        assert_ne!(written(&prose, "so a", 20), first);
    }

    #[test]
    fn quotation_marks_and_italics_are_left_out() {
        let prose = Prose::learn("\"_You_ want (to) tell _me_.\"");
        assert_eq!(written(&prose, "\"You", 4), "want to tell me.");
    }

    #[test]
    fn a_title_ends_no_sentence() {
        assert!(ends_a_sentence("Bennet.") && ends_a_sentence("so!"));
        assert!(!ends_a_sentence("Mr.") && !ends_a_sentence("so"));
    }

    #[test]
    fn tokens_side_by_side_are_the_word() {
        let tokens: Vec<_> = pieces("neighbourhood").collect();
        assert_eq!(tokens, [" neig", "hbou", "rhoo", "d"]);
        assert_eq!(pieces("naïveté").collect::<String>(), " naïveté");
    }
}

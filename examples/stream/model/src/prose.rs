//! A text as a Markov chain: which words have followed which two, and how often.

use std::collections::HashMap;

use fastrand::Rng;

/// The number of a word.
type Word = u32;

/// The two words before a word. `None` stands for any word; twice, for the beginning of a sentence.
type Before = (Option<Word>, Option<Word>);

/// Words with a full stop that ends no sentence.
const TITLES: [&str; 4] = ["Mr.", "Mrs.", "Dr.", "St."];

/// What a text teaches about the order of words.
#[derive(Default)]
pub struct Prose {
    words: Vec<String>,
    numbers: HashMap<String, Word>,
    /// A word that came twice stands there twice.
    followers: HashMap<Before, Vec<Word>>,
}

impl Prose {
    /// Learns from the paragraphs of `text`, which blank lines separate. One that does not end like a sentence is a
    /// heading, and teaches nothing.
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

    /// Whether nothing was learnt.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// How many different words are known.
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// Words that may follow `prompt`: the same each time, for one prompt. There is no end to them.
    pub fn after(&self, prompt: &str) -> impl Iterator<Item = &str> {
        let mut random = Rng::with_seed(seed(prompt));
        let prompt = plain(prompt);
        let mut words = prompt.split_whitespace().rev().map(|word| self.numbers.get(word).copied());
        let (last, before_last) = (words.next().flatten(), words.next().flatten());
        let mut before: Before = (before_last, last);
        std::iter::from_fn(move || {
            // What never came after two words may have come after one; at the end of a paragraph, a sentence begins.
            let (_, last) = before;
            let known = [before, (None, last), (None, None)].into_iter().find_map(|key| self.followers.get(&key))?;
            let word = random.choice(known)?;
            before = (last, Some(*word));
            self.words.get(*word as usize).map(String::as_str)
        })
    }
}

/// A text without quotation marks and brackets, which one made of pieces of it would leave open, and without the signs of
/// italics.
fn plain(text: &str) -> String {
    text.replace(['"', '(', ')', '_'], "")
}

/// Whether a sentence ends with `word`.
pub fn ends_a_sentence(word: &str) -> bool {
    word.ends_with(['.', '!', '?']) && !TITLES.contains(&word)
}

/// The tokens of a word, of up to four letters each, the first with a space in front: as the tokens of a language model
/// are pieces of words.
pub fn pieces(word: &str) -> impl Iterator<Item = String> {
    let letters: Vec<char> = word.chars().collect();
    let pieces: Vec<String> = letters.chunks(4).map(|piece| piece.iter().collect()).collect();
    pieces.into_iter().enumerate().map(|(index, piece)| if index == 0 { format!(" {piece}") } else { piece })
}

/// A number for a text (FNV-1a), so that chance repeats itself.
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
    fn a_text_goes_on_as_it_went_on_in_the_book() {
        let prose = Prose::learn("Chapter 1\n\nOne two three\nfour. Five six.");
        assert_eq!(written(&prose, "Well, one, One two", 4), "three four. Five six.");
        // One word is known of these two.
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
    fn tokens_put_side_by_side_are_the_word() {
        let tokens: Vec<_> = pieces("neighbourhood").collect();
        assert_eq!(tokens, [" neig", "hbou", "rhoo", "d"]);
        assert_eq!(pieces("naïveté").collect::<String>(), " naïveté");
    }
}

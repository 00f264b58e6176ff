//! What may be asked.

use crate::terms;

/// The longest question, in bytes. A question is a sentence or two; a whole page would only make
/// every passage fit a little.
pub const LONGEST: u32 = 1000;

/// How many passages an answer may have.
pub const MOST_PASSAGES: u32 = 20;

/// How many passages an answer has where the caller does not say.
pub const USUAL_PASSAGES: u32 = 3;

/// Why a question is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It has no text.
    Empty,
    /// It has more than [`LONGEST`] bytes.
    TooLong,
    /// All its words are so common that they tell no passage from another.
    OnlyCommonWords,
    /// It asks for no passage, or for more than [`MOST_PASSAGES`].
    Limit,
}

/// A question that can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What is asked, without the white space around it.
    pub text: String,
    /// How many passages the answer may have.
    pub passages: usize,
}

impl Question {
    /// Checks what a caller sent.
    ///
    /// The first [`Refusal`] that fits.
    pub fn new(text: &str, limit: Option<u32>) -> Result<Self, Refusal> {
        let text = text.trim();
        let passages = limit.unwrap_or(USUAL_PASSAGES);
        if text.is_empty() {
            Err(Refusal::Empty)
        } else if text.len() > LONGEST as usize {
            Err(Refusal::TooLong)
        } else if terms(text).is_empty() {
            Err(Refusal::OnlyCommonWords)
        } else if !(1..=MOST_PASSAGES).contains(&passages) {
            Err(Refusal::Limit)
        } else {
            Ok(Self { text: text.to_owned(), passages: passages as usize })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_question_is_trimmed_and_gets_the_usual_number_of_passages() {
        let question = Question { text: "Who is Mr. Darcy?".into(), passages: 3 };
        assert_eq!(Question::new("  Who is Mr. Darcy?\n", None), Ok(question));
    }

    #[test]
    fn a_question_without_text_is_refused() {
        assert_eq!(Question::new("", None), Err(Refusal::Empty));
        assert_eq!(Question::new(" \t\n", Some(1)), Err(Refusal::Empty));
    }

    #[test]
    fn a_question_of_common_words_is_refused() {
        assert_eq!(Question::new("What is it?", None), Err(Refusal::OnlyCommonWords));
        assert_eq!(Question::new("?!", None), Err(Refusal::OnlyCommonWords));
    }

    #[test]
    fn a_question_may_be_as_long_as_the_limit_and_no_longer() {
        assert!(Question::new(&"x".repeat(LONGEST as usize), None).is_ok());
        assert_eq!(Question::new(&"x".repeat(LONGEST as usize + 1), None), Err(Refusal::TooLong));
    }

    #[test]
    fn the_number_of_passages_has_bounds() {
        assert_eq!(Question::new("Darcy", Some(0)), Err(Refusal::Limit));
        assert_eq!(Question::new("Darcy", Some(MOST_PASSAGES)).map(|question| question.passages), Ok(20));
        assert_eq!(Question::new("Darcy", Some(MOST_PASSAGES + 1)), Err(Refusal::Limit));
    }
}

//! Checks questions.

use crate::terms;

/// The longest question, in bytes. A question is a sentence or two; every passage would fit a whole page a little.
pub const LONGEST: u32 = 1000;

/// The most passages of an answer.
pub const MOST_PASSAGES: u32 = 20;

/// The number of passages of an answer by default.
pub const USUAL_PASSAGES: u32 = 3;

/// The reason why a question is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It has no text.
    Empty,
    /// It has more than [`LONGEST`] bytes.
    TooLong,
    /// All its words are so common that they do not distinguish passages.
    OnlyCommonWords,
    /// It asks for 0 passages, or for more than [`MOST_PASSAGES`].
    Limit,
}

/// A question that can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The text, without the white space around it.
    pub text: String,
    /// The most passages that the answer may have.
    pub passages: usize,
}

impl Question {
    /// Checks a caller's question.
    ///
    /// Returns the first [`Refusal`] that applies.
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

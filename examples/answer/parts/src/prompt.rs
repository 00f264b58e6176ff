//! The text that the model reads.

use std::fmt::Write as _;

use crate::Found;

/// The instructions.
pub const SYSTEM: &str = "Answer the question from the passages alone, in one or two sentences. \
     Cite the number of each passage that you use, like [1]. \
     If the passages do not answer the question, say so.";

/// Writes the passages with their numbers, and the question.
#[must_use]
pub fn prompt(question: &str, found: &[Found]) -> String {
    let mut prompt = String::new();
    for (found, number) in found.iter().zip(1..) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(prompt, "[{number}] {}: {}", found.passage.document, found.passage.text);
    }
    let _ = write!(prompt, "\nQuestion: {question}");
    prompt
}

/// Returns a form of the question in which case and white space make no difference.
#[must_use]
pub fn normal(question: &str) -> String {
    question.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Passage, merge};

    #[test]
    fn a_prompt_numbers_the_passages() {
        let passage = Passage { document: "loans".to_owned(), position: 1, text: "Three weeks.".to_owned() };
        let found = merge(vec![("index".to_owned(), vec![passage])], 1);
        assert_eq!(prompt("How long?", &found), "[1] loans: Three weeks.\n\nQuestion: How long?");
    }

    #[test]
    fn case_and_space_make_no_difference() {
        assert_eq!(normal("  How\tLONG? "), normal("how long?"));
    }
}

//! Writes the text of an answer.

use retrieval::{sentences, terms};

/// Returns the sentence of the numbered passages that shares the most words with the question, and the number of its
/// passage.
#[must_use]
pub fn answer(prompt: &str) -> String {
    let (passages, question) = prompt.rsplit_once("Question: ").unwrap_or(("", prompt));
    let asked: Vec<_> = terms(question).into_iter().map(|term| term.stem).collect();
    let mut best: Option<(usize, &str, &str)> = None;
    for passage in passages.lines() {
        let Some((number, text)) = passage.strip_prefix('[').and_then(|rest| rest.split_once("] ")) else { continue };
        let (_, text) = text.split_once(": ").unwrap_or(("", text));
        for sentence in sentences(text).into_iter().filter_map(|range| text.get(range)) {
            let mut said: Vec<_> = terms(sentence).into_iter().map(|term| term.stem).collect();
            said.sort();
            said.dedup();
            let shared = said.iter().filter(|stem| asked.contains(stem)).count();
            // Of equal sentences, the first one counts.
            if shared > 0 && best.is_none_or(|(most, ..)| shared > most) {
                best = Some((shared, sentence, number));
            }
        }
    }
    match best {
        Some((_, sentence, number)) => format!("{} [{number}]", sentence.trim()),
        None => "The passages do not answer the question.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_the_sentence_that_shares_the_most_words() {
        let prompt = "[1] rooms: The tower is open. It has steps.\n\
                      [2] loans: A fine is paid. You may keep a book for three weeks.\n\n\
                      Question: For how long may I keep books?";
        assert_eq!(answer(prompt), "You may keep a book for three weeks. [2]");
    }

    #[test]
    fn a_question_without_a_fitting_passage_has_an_answer_too() {
        let prompt = "[1] rooms: The tower is open.\n\nQuestion: What is a transistor?";
        assert_eq!(answer(prompt), "The passages do not answer the question.");
        assert_eq!(answer(""), "The passages do not answer the question.");
    }
}

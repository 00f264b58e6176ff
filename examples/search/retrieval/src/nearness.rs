//! Ranks one passage as an answer to a question. The index knows that the words of the question are in it; this code
//! checks whether they are close together.

use std::{collections::HashSet, ops::Range};

use crate::{Term, highlight::highlight, sentences, terms};

/// The ranking of one passage as an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// From 0 (no word of the question) to 1 (all of them, close together and in the order of the question).
    pub score: f32,
    /// The sentence, or the two sentences, that answer best, with the words of the question marked.
    pub snippet: String,
}

/// The number of following words, without stop words, among which the successor of a word may be.
const REACH: usize = 3;

/// Ranks `passage` as an answer to `question`. In the snippet, `mark` is before and after each word of the question.
///
/// The score is the mean of three shares: the words of the question that are in the passage, those that are in the
/// snippet, and those that are soon followed by the same word as in the question.
#[must_use]
pub fn rank(question: &str, passage: &str, mark: &str) -> Ranking {
    let asked = terms(question);
    let wanted: HashSet<&str> = asked.iter().map(|term| term.stem.as_str()).collect();
    let found = terms(passage);
    let snippet = best_window(&wanted, passage, &found);

    let everywhere = 0..passage.len();
    let mut shares = vec![
        share(matches(&wanted, &found, &everywhere), wanted.len()),
        share(matches(&wanted, &found, &snippet), wanted.len()),
    ];
    if asked.len() > 1 {
        shares.push(share(kept_pairs(&asked, &found), asked.len() - 1));
    }
    Ranking {
        score: shares.iter().sum::<f32>() / shares.len() as f32,
        snippet: highlight(passage, snippet, &wanted, &found, mark),
    }
}

fn share(part: usize, whole: usize) -> f32 {
    if whole == 0 { 0.0 } else { part as f32 / whole as f32 }
}

/// Returns the number of different words of the question in `window`.
fn matches(wanted: &HashSet<&str>, found: &[Term], window: &Range<usize>) -> usize {
    let inside = found.iter().filter(|term| window.contains(&term.range.start));
    inside.filter_map(|term| wanted.get(term.stem.as_str())).collect::<HashSet<_>>().len()
}

/// Returns the number of words of the question whose successor follows soon in the passage too.
fn kept_pairs(asked: &[Term], found: &[Term]) -> usize {
    let is_kept = |first: &Term, second: &Term| {
        found.iter().enumerate().any(|(place, term)| {
            let mut next = found.iter().skip(place + 1).take(REACH);
            term.stem == first.stem && next.any(|later| later.stem == second.stem)
        })
    };
    asked.iter().zip(asked.iter().skip(1)).filter(|(first, second)| is_kept(first, second)).count()
}

/// Returns the sentence, or two consecutive sentences, with the most words of the question. Of several with the same
/// number, the shortest counts, and then the first. If none has a word of the question, returns the first sentence.
fn best_window(wanted: &HashSet<&str>, passage: &str, found: &[Term]) -> Range<usize> {
    let sentences = sentences(passage);
    let pairs = sentences.iter().zip(sentences.iter().skip(1)).map(|(one, next)| one.start..next.end);
    let windows = sentences.iter().cloned().chain(pairs);
    windows
        .max_by(|left, right| {
            let by_matches = matches(wanted, found, left).cmp(&matches(wanted, found, right));
            by_matches.then(right.len().cmp(&left.len())).then(right.start.cmp(&left.start))
        })
        .filter(|window| matches(wanted, found, window) > 0)
        .or_else(|| sentences.first().cloned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSAGE: &str = "Mr. Darcy walked off. Elizabeth told the story with great spirit among her \
        friends. She had a lively disposition.";

    #[test]
    fn a_passage_with_the_question_itself_has_the_score_one() {
        assert_eq!(rank("elizabeth told the story", PASSAGE, "").score, 1.0);
    }

    #[test]
    fn a_passage_without_a_word_of_the_question_has_the_score_zero() {
        assert_eq!(rank("a carriage and four horses", PASSAGE, "").score, 0.0);
        assert_eq!(rank("elizabeth", "", ""), Ranking { score: 0.0, snippet: String::new() });
    }

    #[test]
    fn words_that_stand_together_are_worth_more_than_the_same_words_apart() {
        let together = rank("story of spirit", PASSAGE, "").score;
        let apart = rank("Darcy of disposition", PASSAGE, "").score;
        assert!(together > apart, "{together} is not more than {apart}");
    }

    #[test]
    fn words_in_the_order_of_the_question_are_worth_more() {
        let in_order = rank("lively disposition", PASSAGE, "").score;
        let turned = rank("disposition lively", PASSAGE, "").score;
        assert!(in_order > turned, "{in_order} is not more than {turned}");
    }

    #[test]
    fn the_snippet_is_the_sentence_that_answers_with_its_words_marked() {
        assert_eq!(
            rank("who told stories of friends?", PASSAGE, "**").snippet,
            "Elizabeth **told** the **story** with great spirit among her **friends**.",
        );
    }

    #[test]
    fn the_snippet_spans_two_sentences_where_both_are_needed() {
        assert_eq!(
            rank("friends and disposition", PASSAGE, "*").snippet,
            "Elizabeth told the story with great spirit among her *friends*. She had a lively *disposition*.",
        );
    }

    #[test]
    fn a_passage_without_a_word_of_the_question_shows_its_first_sentence() {
        let passage = "Elizabeth told the story. No.";
        assert_eq!(rank("", passage, "*"), Ranking { score: 0.0, snippet: "Elizabeth told the story.".into() });
    }
}

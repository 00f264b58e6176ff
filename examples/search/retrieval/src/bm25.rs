//! An inverted index over sparse vectors, scored by Okapi BM25.

use std::collections::HashMap;

use crate::Vector;

/// The two knobs of BM25.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters {
    /// How much a second and a third occurrence of a term still add: 0 is nothing, 2 is much.
    pub k1: f32,
    /// How much a long passage has to be better than a short one: 0 is not at all, 1 is in
    /// proportion.
    pub b: f32,
}

/// The inverted index: which passages have weight in a dimension, and what that is worth.
#[derive(Debug, Default)]
pub struct Index {
    postings: HashMap<u32, Vec<Posting>>,
    passages: usize,
}

/// What one term is worth in one passage. All of BM25 but the weight of the term in the question is
/// known when the index is built, so that an answer only has to add up.
#[derive(Debug)]
struct Posting {
    passage: usize,
    worth: f32,
}

impl Index {
    /// The index over `vectors`; the number of a passage is its place among them.
    #[must_use]
    pub fn new(vectors: &[Vector], Parameters { k1, b }: Parameters) -> Self {
        let lengths: Vec<f32> = vectors.iter().map(|vector| vector.weights.iter().sum()).collect();
        let average = lengths.iter().sum::<f32>() / (lengths.len().max(1) as f32);
        let mut postings = HashMap::<u32, Vec<Posting>>::new();
        for (passage, (vector, length)) in vectors.iter().zip(&lengths).enumerate() {
            for (dimension, weight) in vector.iter() {
                let norm = k1 * (1.0 - b + b * length / average);
                let worth = weight * (k1 + 1.0) / (weight + norm);
                postings.entry(dimension).or_default().push(Posting { passage, worth });
            }
        }
        for list in postings.values_mut() {
            let rarity = rarity(list.len(), vectors.len());
            list.iter_mut().for_each(|posting| posting.worth *= rarity);
        }
        Self { postings, passages: vectors.len() }
    }

    /// How many passages the index holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.passages
    }

    /// Whether the index holds no passage.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.passages == 0
    }

    /// The `limit` passages that fit `question` best, as pairs of number and score, best first; of
    /// two that fit equally well, the earlier comes first. A passage that shares no term with the
    /// question is not among them.
    #[must_use]
    pub fn search(&self, question: &Vector, limit: usize) -> Vec<(usize, f32)> {
        let mut scores = HashMap::<usize, f32>::new();
        for (dimension, weight) in question.iter() {
            for posting in self.postings.get(&dimension).into_iter().flatten() {
                *scores.entry(posting.passage).or_default() += weight * posting.worth;
            }
        }
        let mut hits: Vec<_> = scores.into_iter().collect();
        hits.sort_unstable_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
        hits.truncate(limit);
        hits
    }
}

/// The inverse document frequency, in the form that is never negative.
fn rarity(with_term: usize, all: usize) -> f32 {
    let (with_term, all) = (with_term as f32, all as f32);
    ((all - with_term + 0.5) / (with_term + 0.5)).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMETERS: Parameters = Parameters { k1: 1.2, b: 0.75 };

    fn vector<const N: usize>(weights: [(u32, f32); N]) -> Vector {
        let (dimensions, weights) = weights.into_iter().unzip();
        Vector { dimensions, weights }
    }

    fn numbers(hits: &[(usize, f32)]) -> Vec<usize> {
        hits.iter().map(|&(passage, _)| passage).collect()
    }

    #[test]
    fn a_score_is_what_the_formula_says() {
        let index = Index::new(&[vector([(7, 2.0), (8, 2.0)]), vector([(8, 2.0)])], PARAMETERS);
        let hits = index.search(&vector([(7, 1.0)]), 10);
        // One of two passages has term 7: ln(1 + 1.5/1.5). It occurs twice in a passage of 4/3 the
        // average length: 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 4/3)).
        let expected = 2.0_f32.ln() * 4.4 / (2.0 + 1.2 * 1.25);
        assert_eq!(numbers(&hits), [0]);
        let score: f32 = hits.iter().map(|&(_, score)| score).sum();
        assert!((score - expected).abs() < 1e-6, "{score} is not {expected}");
    }

    #[test]
    fn a_rare_term_is_worth_more_than_a_common_one() {
        let index = Index::new(&[vector([(1, 1.0)]), vector([(1, 1.0)]), vector([(2, 1.0)])], PARAMETERS);
        assert_eq!(numbers(&index.search(&vector([(1, 1.0), (2, 1.0)]), 10)), [2, 0, 1]);
    }

    #[test]
    fn a_short_passage_is_worth_more_than_a_long_one() {
        let index = Index::new(&[vector([(1, 1.0), (2, 9.0)]), vector([(1, 1.0)])], PARAMETERS);
        assert_eq!(numbers(&index.search(&vector([(1, 1.0)]), 10)), [1, 0]);
    }

    #[test]
    fn a_passage_without_a_term_of_the_question_is_no_hit() {
        let index = Index::new(&[vector([(1, 1.0)]), vector([(2, 1.0)])], PARAMETERS);
        assert_eq!(numbers(&index.search(&vector([(2, 1.0), (3, 1.0)]), 10)), [1]);
        assert_eq!(index.search(&vector([]), 10), []);
    }

    #[test]
    fn no_more_hits_come_than_were_asked_for() {
        let index = Index::new(&[vector([(1, 1.0)]), vector([(1, 1.0)]), vector([(1, 1.0)])], PARAMETERS);
        assert_eq!(numbers(&index.search(&vector([(1, 1.0)]), 2)), [0, 1]);
        assert_eq!(index.search(&vector([(1, 1.0)]), 0), []);
    }

    #[test]
    fn an_empty_index_answers_nothing() {
        let index = Index::new(&[], PARAMETERS);
        assert!(index.is_empty());
        assert_eq!(index.search(&vector([(1, 1.0)]), 10), []);
    }

    #[test]
    fn an_index_of_empty_passages_has_no_scores_that_are_not_numbers() {
        let index = Index::new(&[vector([]), vector([])], PARAMETERS);
        assert_eq!(index.len(), 2);
        assert_eq!(index.search(&vector([(1, 1.0)]), 10), []);
    }
}

//! An inverted index over vectors, scored by Okapi BM25 or by the cosine.

use std::collections::HashMap;

use serde::Deserialize;

use crate::Vector;

/// The measure of how well a passage fits a question.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Okapi BM25, for vectors that count words.
    Bm25(Bm25),
    /// The cosine of the angle between both, for vectors of meanings.
    Cosine,
}

/// The two parameters of BM25.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bm25 {
    /// The extra score of a second and a third occurrence of a term: 0 is none, 2 is much.
    pub k1: f32,
    /// The penalty for long passages: 0 is none, 1 is in proportion to the length.
    pub b: f32,
}

/// The inverted index. For each dimension, it has the passages with a weight in it, and the score of each.
#[derive(Debug)]
pub struct Index {
    measure: Measure,
    postings: HashMap<u32, Vec<Posting>>,
    passages: usize,
}

/// The score of one dimension in one passage. It is computed when the index is built, without the dimension's weight in
/// the question. So a search only has to multiply and add.
#[derive(Debug)]
struct Posting {
    passage: usize,
    worth: f32,
}

impl Index {
    /// Makes the index of `vectors`. The number of a passage is its place among them.
    #[must_use]
    pub fn new(vectors: &[Vector], measure: Measure) -> Self {
        let postings = match measure {
            Measure::Bm25(knobs) => bm25(vectors, knobs),
            Measure::Cosine => postings(vectors, |vector| {
                let length = length(vector);
                move |weight| weight / length
            }),
        };
        Self { measure, postings, passages: vectors.len() }
    }

    /// Returns the number of passages in the index.
    #[must_use]
    pub fn len(&self) -> usize {
        self.passages
    }

    /// Returns true if the index has no passage.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.passages == 0
    }

    /// Returns the `limit` passages that fit `question` best, as pairs of number and score, best first. Of two equal
    /// scores, the earlier passage comes first. Passages with a score of 0 or below are left out: they share no term
    /// with the question, or mean something different.
    #[must_use]
    pub fn search(&self, question: &Vector, limit: usize) -> Vec<(usize, f32)> {
        let unit = match self.measure {
            Measure::Bm25(_) => 1.0,
            Measure::Cosine => length(question),
        };
        let mut scores = vec![0.0; self.passages];
        for (dimension, weight) in question.iter() {
            for posting in self.postings.get(&dimension).into_iter().flatten() {
                if let Some(score) = scores.get_mut(posting.passage) {
                    *score += weight / unit * posting.worth;
                }
            }
        }
        let mut hits: Vec<_> = scores.into_iter().enumerate().filter(|(_, score)| *score > 0.0).collect();
        hits.sort_unstable_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
        hits.truncate(limit);
        hits
    }
}

/// Returns the postings of each dimension. `worth` gets the vector of a passage, and returns a function that turns a
/// weight in that vector into a score.
fn postings<W: Fn(f32) -> f32>(vectors: &[Vector], worth: impl Fn(&Vector) -> W) -> HashMap<u32, Vec<Posting>> {
    let mut postings = HashMap::<u32, Vec<Posting>>::new();
    for (passage, vector) in vectors.iter().enumerate() {
        let worth = worth(vector);
        for (dimension, weight) in vector.iter() {
            postings.entry(dimension).or_default().push(Posting { passage, worth: worth(weight) });
        }
    }
    postings
}

fn bm25(vectors: &[Vector], Bm25 { k1, b }: Bm25) -> HashMap<u32, Vec<Posting>> {
    let words = |vector: &Vector| vector.weights.iter().sum::<f32>();
    let average = vectors.iter().map(words).sum::<f32>() / (vectors.len().max(1) as f32);
    let mut postings = postings(vectors, |vector| {
        let norm = k1 * (1.0 - b + b * words(vector) / average);
        move |weight| weight * (k1 + 1.0) / (weight + norm)
    });
    for list in postings.values_mut() {
        let rarity = rarity(list.len(), vectors.len());
        list.iter_mut().for_each(|posting| posting.worth *= rarity);
    }
    postings
}

/// Returns the length of a vector.
fn length(vector: &Vector) -> f32 {
    vector.weights.iter().map(|weight| weight * weight).sum::<f32>().sqrt()
}

/// Returns the inverse document frequency, in the form that is never negative.
fn rarity(with_term: usize, all: usize) -> f32 {
    let (with_term, all) = (with_term as f32, all as f32);
    ((all - with_term + 0.5) / (with_term + 0.5)).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BM25: Measure = Measure::Bm25(Bm25 { k1: 1.2, b: 0.75 });

    fn vector<const N: usize>(weights: [(u32, f32); N]) -> Vector {
        let (dimensions, weights) = weights.into_iter().unzip();
        Vector { dimensions, weights }
    }

    fn numbers(hits: &[(usize, f32)]) -> Vec<usize> {
        hits.iter().map(|&(passage, _)| passage).collect()
    }

    #[test]
    fn a_score_follows_the_formula() {
        let index = Index::new(&[vector([(7, 2.0), (8, 2.0)]), vector([(8, 2.0)])], BM25);
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
        let index = Index::new(&[vector([(1, 1.0)]), vector([(1, 1.0)]), vector([(2, 1.0)])], BM25);
        assert_eq!(numbers(&index.search(&vector([(1, 1.0), (2, 1.0)]), 10)), [2, 0, 1]);
    }

    #[test]
    fn a_short_passage_is_worth_more_than_a_long_one() {
        let index = Index::new(&[vector([(1, 1.0), (2, 9.0)]), vector([(1, 1.0)])], BM25);
        assert_eq!(numbers(&index.search(&vector([(1, 1.0)]), 10)), [1, 0]);
    }

    #[test]
    fn a_passage_without_a_term_of_the_question_is_no_hit() {
        let index = Index::new(&[vector([(1, 1.0)]), vector([(2, 1.0)])], BM25);
        assert_eq!(numbers(&index.search(&vector([(2, 1.0), (3, 1.0)]), 10)), [1]);
        assert_eq!(index.search(&vector([]), 10), []);
    }

    #[test]
    fn the_number_of_hits_has_a_limit() {
        let index = Index::new(&[vector([(1, 1.0)]), vector([(1, 1.0)]), vector([(1, 1.0)])], BM25);
        assert_eq!(numbers(&index.search(&vector([(1, 1.0)]), 2)), [0, 1]);
        assert_eq!(index.search(&vector([(1, 1.0)]), 0), []);
    }

    #[test]
    fn an_empty_index_answers_nothing() {
        let index = Index::new(&[], BM25);
        assert!(index.is_empty());
        assert_eq!(index.search(&vector([(1, 1.0)]), 10), []);
    }

    #[test]
    fn scores_of_empty_passages_are_numbers() {
        let index = Index::new(&[vector([]), vector([])], BM25);
        assert_eq!(index.len(), 2);
        assert_eq!(index.search(&vector([(1, 1.0)]), 10), []);
    }

    #[test]
    fn by_the_cosine_only_the_angle_counts() {
        let vectors = [vector([(0, 3.0), (1, -4.0)]), vector([(0, 0.5)]), vector([(0, -1.0), (1, 1.0)]), vector([])];
        let index = Index::new(&vectors, Measure::Cosine);
        let question = vector([(0, 60.0), (1, -80.0)]);
        let hits = index.search(&question, 10);
        // The first has the same direction, the second is 53° off, the third points away, and the last has no
        // direction.
        assert_eq!(numbers(&hits), [0, 1]);
        for ((_, score), expected) in hits.iter().zip([1.0, 0.6]) {
            assert!((score - expected).abs() < 1e-6, "{hits:?}");
        }
        assert_eq!(index.search(&vector([]), 10), []);
    }
}

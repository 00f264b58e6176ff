//! Combines two scores of each passage into one order.

use crate::Ranking;

/// A passage of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding<P> {
    /// The passage.
    pub passage: P,
    /// The sentences of the passage that answer best.
    pub snippet: String,
    /// The score of the passage as an answer: above 0; higher is better.
    pub score: f32,
}

/// The largest addition by the ranking, as a multiple of the score of the index.
const TRUST_IN_RANKING: f32 = 1.0;

/// Returns the `count` best of `hits`, best first. Of two equal ones, the one that the index put first comes first.
///
/// A hit is a passage with its score in the index, which knows the whole book. The ranking at the same place in
/// `rankings` looked at that passage alone. Two passages that overlap often answer with the same sentence: then the
/// answer contains only the better of them.
#[must_use]
pub fn best<P>(hits: Vec<(P, f32)>, rankings: Vec<Ranking>, count: usize) -> Vec<Finding<P>> {
    let mut findings: Vec<_> = hits
        .into_iter()
        .zip(rankings)
        .map(|((passage, score), ranking)| Finding {
            passage,
            snippet: ranking.snippet,
            score: score * (1.0 + TRUST_IN_RANKING * ranking.score),
        })
        .collect();
    findings.sort_by(|left, right| right.score.total_cmp(&left.score));
    let mut best = Vec::<Finding<P>>::new();
    for finding in findings {
        if best.len() < count && best.iter().all(|better| better.snippet != finding.snippet) {
            best.push(finding);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(hits: &[(&'static str, f32)], rankings: &[(f32, &str)], count: usize) -> Vec<&'static str> {
        let rankings = rankings.iter().map(|&(score, snippet)| Ranking { score, snippet: snippet.into() });
        let best = best(hits.to_vec(), rankings.collect(), count);
        best.into_iter().map(|finding| finding.passage).collect()
    }

    #[test]
    fn the_ranking_can_lift_a_passage_over_one_that_the_index_prefers() {
        assert_eq!(order(&[("far", 5.0), ("near", 4.0)], &[(0.2, "f"), (0.9, "n")], 2), ["near", "far"]);
    }

    #[test]
    fn equals_stay_in_the_order_of_the_index() {
        assert_eq!(order(&[("one", 2.0), ("two", 2.0)], &[(0.5, "a"), (0.5, "b")], 2), ["one", "two"]);
    }

    #[test]
    fn only_the_best_passage_with_a_snippet_is_shown() {
        let hits = [("worse", 1.0), ("better", 2.0), ("other", 0.5)];
        assert_eq!(order(&hits, &[(0.0, "same"), (0.0, "same"), (0.0, "own")], 3), ["better", "other"]);
    }

    #[test]
    fn the_number_of_findings_has_a_limit() {
        assert_eq!(order(&[("one", 2.0), ("two", 1.0)], &[(0.0, "a"), (0.0, "b")], 1), ["one"]);
        assert_eq!(order(&[], &[], 3), [""; 0]);
    }
}

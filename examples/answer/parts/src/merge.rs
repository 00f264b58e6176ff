//! Merges the lists of several retrievers into one list of passages.

use crate::Passage;

/// A passage that at least one retriever found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The passage.
    pub passage: Passage,
    /// The retrievers that found it.
    pub by: Vec<String>,
    score: f32,
}

/// The usual constant of reciprocal rank fusion. The larger it is, the smaller the advantage of the first place over
/// the second.
const SMOOTHING: f32 = 60.0;

/// Returns the best `limit` passages of all lists, by reciprocal rank fusion. It compares places, because the scores of
/// two retrievers mean different things. Each list has the name of its retriever, and its best passage first.
#[must_use]
pub fn merge(lists: Vec<(String, Vec<Passage>)>, limit: usize) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    for (retriever, passages) in lists {
        for (place, passage) in passages.into_iter().enumerate() {
            let score = 1.0 / (SMOOTHING + place as f32);
            match all.iter_mut().find(|found| found.passage == passage) {
                Some(found) => {
                    found.by.push(retriever.clone());
                    found.score += score;
                }
                None => all.push(Found { passage, by: vec![retriever.clone()], score }),
            }
        }
    }
    // The sort is stable, so equal scores keep the order of the lists.
    all.sort_by(|left, right| right.score.total_cmp(&left.score));
    all.truncate(limit);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(position: u32) -> Passage {
        Passage { document: "loans".to_owned(), position, text: String::new() }
    }

    #[test]
    fn a_passage_that_two_retrievers_found_comes_first() {
        let lists = vec![
            ("index".to_owned(), vec![passage(1), passage(2)]),
            ("keywords".to_owned(), vec![passage(3), passage(2)]),
        ];
        let found = merge(lists, 2);
        let seen: Vec<_> = found.iter().map(|found| (found.passage.position, found.by.join("+"))).collect();
        assert_eq!(seen, [(2, "index+keywords".to_owned()), (1, "index".to_owned())]);
    }

    #[test]
    fn lists_without_passages_make_a_list_without_passages() {
        assert_eq!(merge(vec![("index".to_owned(), vec![])], 3), []);
    }
}

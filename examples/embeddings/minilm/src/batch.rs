//! Batches of texts, one text after another.

use std::ops::Range;

/// The tokens of some texts as rows, one text after another. There is no padding: the range of a text tells which rows
/// its rows may look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The token of each row.
    pub ids: Vec<u32>,
    /// The position of each row's token in its text, counted from 0.
    pub positions: Vec<u32>,
    /// The rows of each text.
    pub texts: Vec<Range<usize>>,
}

impl Batch {
    /// Returns the number of tokens of all its texts.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Adds a text.
    pub fn push(&mut self, ids: &[u32]) {
        let start = self.rows();
        self.ids.extend(ids);
        self.positions.extend((0..).take(ids.len()));
        self.texts.push(start..self.rows());
    }
}

/// Groups texts, given as their tokens, into batches, in their order. A batch has at most `most` rows, or a single text
/// with more.
#[must_use]
pub fn batches(texts: impl IntoIterator<Item = Vec<u32>>, most: usize) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for ids in texts {
        match batches.last_mut().filter(|batch| batch.rows() + ids.len() <= most) {
            Some(batch) => batch.push(&ids),
            None => {
                let mut batch = Batch::default();
                batch.push(&ids);
                batches.push(batch);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_follow_one_another_and_each_counts_its_tokens() {
        let batches = batches([vec![7, 8], vec![9, 9, 9]], 10);
        let both = Batch { ids: vec![7, 8, 9, 9, 9], positions: vec![0, 1, 0, 1, 2], texts: vec![0..2, 2..5] };
        assert_eq!(batches, [both]);
    }

    #[test]
    fn a_batch_exceeds_its_limit_only_with_a_single_text() {
        let batches = batches([vec![0; 2], vec![0; 2], vec![0; 1], vec![0; 9], vec![0; 1]], 4);
        let rows: Vec<_> = batches.iter().map(Batch::rows).collect();
        assert_eq!(rows, [4, 1, 9, 1]);
    }

    #[test]
    fn without_texts_there_are_no_batches() {
        assert_eq!(batches([], 4), []);
    }
}

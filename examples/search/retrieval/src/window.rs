//! Cuts a text into passages: windows of whole sentences that overlap a little.

use crate::sentences;

/// The size of passages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The most words of a passage. Only a single longer sentence makes a longer passage.
    pub words: usize,
    /// The most words that a passage repeats from the end of the one before. Thanks to them, a statement at the border
    /// of two passages is found in one piece.
    pub overlap: usize,
}

/// Returns the passages of `text`, in reading order.
///
/// Blank lines separate paragraphs; other line breaks mean nothing. In a passage, a paragraph is one line. The marks of
/// plain-text italics (`_word_`) and lines of ornaments are left out.
#[must_use]
pub fn passages(text: &str, size: Size) -> Vec<String> {
    let paragraphs = paragraphs(text);
    let sentences = split(&paragraphs);
    let mut passages = Vec::new();
    let mut start = 0;
    while start < sentences.len() {
        let end = end_of_window(&sentences, start, size.words);
        passages.push(join(sentences.get(start..end).unwrap_or_default()));
        if end == sentences.len() {
            break;
        }
        start = start_of_next(&sentences, start, end, size.overlap);
    }
    passages
}

/// A sentence of the text.
struct Sentence<'t> {
    text: &'t str,
    words: usize,
    opens_paragraph: bool,
}

/// Returns the paragraphs, each on one line.
fn paragraphs(text: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in text.lines() {
        match paragraphs.last_mut() {
            Some(last) if !line.trim().is_empty() => {
                for word in line.split_whitespace() {
                    if !last.is_empty() {
                        last.push(' ');
                    }
                    last.push_str(&word.replace('_', ""));
                }
            }
            _ => paragraphs.push(String::new()),
        }
    }
    paragraphs.retain(|paragraph| paragraph.chars().any(char::is_alphanumeric));
    paragraphs
}

fn split(paragraphs: &[String]) -> Vec<Sentence<'_>> {
    let mut found = Vec::new();
    for paragraph in paragraphs {
        for range in sentences(paragraph) {
            let opens_paragraph = range.start == 0;
            let text = paragraph.get(range).unwrap_or_default();
            found.push(Sentence { text, words: text.split_whitespace().count(), opens_paragraph });
        }
    }
    found
}

/// Returns the end of the passage that starts at `start`: after at least one sentence, and after as many as fit.
fn end_of_window(sentences: &[Sentence<'_>], start: usize, limit: usize) -> usize {
    let mut words = 0;
    let fitting = sentences.iter().skip(start).take_while(|sentence| {
        words += sentence.words;
        words <= limit
    });
    start + fitting.count().max(1)
}

/// Returns the start of the next passage: as many sentences before `end` as the overlap allows, but always after
/// `start`.
fn start_of_next(sentences: &[Sentence<'_>], start: usize, end: usize, overlap: usize) -> usize {
    let mut words = 0;
    let repeated = sentences.iter().take(end).skip(start + 1).rev().take_while(|sentence| {
        words += sentence.words;
        words <= overlap
    });
    end - repeated.count()
}

fn join(sentences: &[Sentence<'_>]) -> String {
    let mut passage = String::new();
    for sentence in sentences {
        if !passage.is_empty() {
            passage.push(if sentence.opens_paragraph { '\n' } else { ' ' });
        }
        passage.push_str(sentence.text);
    }
    passage
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, words: usize, overlap: usize) -> Vec<String> {
        passages(text, Size { words, overlap })
    }

    #[test]
    fn a_passage_holds_as_many_whole_sentences_as_fit() {
        assert_eq!(cut("One two. Three four. Five six.", 5, 0), ["One two. Three four.", "Five six."]);
    }

    #[test]
    fn a_passage_repeats_the_end_of_the_one_before() {
        assert_eq!(cut("A b c. D e. F g. H i.", 5, 2), ["A b c. D e.", "D e. F g.", "F g. H i."],);
    }

    #[test]
    fn a_sentence_longer_than_the_limit_is_a_passage_of_its_own() {
        assert_eq!(cut("One. Two three four five. Six.", 2, 0), ["One.", "Two three four five.", "Six."]);
    }

    #[test]
    fn an_overlap_as_long_as_the_limit_still_ends() {
        assert_eq!(cut("A b. C d. E f.", 4, 100), ["A b. C d.", "C d. E f."]);
        assert_eq!(cut("A b. C d.", 0, 100), ["A b.", "C d."]);
    }

    #[test]
    fn paragraphs_become_lines_without_italics_and_ornaments() {
        let text = "It is a\n_truth_.\n\n   * * * * *\n\nYes.\r\n\r\nNo.\n";
        assert_eq!(cut(text, 100, 0), ["It is a truth.\nYes.\nNo."]);
    }

    #[test]
    fn without_overlap_each_word_is_in_one_passage() {
        let text = "Mr. Bennet replied. \"But it is,\" returned she; \"for Mrs. Long has been here!\"\n\nWhy?";
        let words = cut(text, 6, 0).iter().map(|passage| passage.split_whitespace().count()).sum::<usize>();
        assert_eq!(words, text.split_whitespace().count());
    }

    #[test]
    fn empty_text_has_no_passages() {
        assert_eq!(cut("", 10, 2), [""; 0]);
        assert_eq!(cut("\n\n* *\n", 10, 2), [""; 0]);
    }
}

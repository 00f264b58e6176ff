//! Splits a book in plain text into its chapters.

/// One chapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chapter<'b> {
    /// Its heading, as it is in the book.
    pub title: &'b str,
    /// Its text, without the heading.
    pub text: &'b str,
}

/// Returns the chapters of `book`, in their order. The text before the first heading, the title page, belongs to none
/// of them.
///
/// A heading is a line of its own: the word "Chapter" and a number, in digits or in Roman numerals.
#[must_use]
pub fn chapters(book: &str) -> Vec<Chapter<'_>> {
    let mut headings = Vec::new();
    let mut at = 0;
    for line in book.split_inclusive('\n') {
        let after = at + line.len();
        if is_heading(line.trim()) {
            headings.push((at, line.trim(), after));
        }
        at = after;
    }
    let ends = headings.iter().skip(1).map(|&(start, ..)| start).chain([book.len()]);
    headings
        .iter()
        .zip(ends)
        .map(|(&(_, title, start), end)| Chapter { title, text: book.get(start..end).unwrap_or_default() })
        .collect()
}

fn is_heading(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let (Some(word), Some(number), None) = (words.next(), words.next(), words.next()) else {
        return false;
    };
    let number = number.trim_end_matches('.');
    word.eq_ignore_ascii_case("chapter")
        && !number.is_empty()
        && (number.bytes().all(|digit| digit.is_ascii_digit()) || number.bytes().all(|digit| b"IVXLC".contains(&digit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_falls_into_its_chapters() {
        let book = "A TITLE\n\nChapter 1\n\nOne.\n\nCHAPTER II.\nTwo.\nChapter 3";
        assert_eq!(
            chapters(book),
            [
                Chapter { title: "Chapter 1", text: "\nOne.\n\n" },
                Chapter { title: "CHAPTER II.", text: "Two.\n" },
                Chapter { title: "Chapter 3", text: "" },
            ],
        );
    }

    #[test]
    fn a_chapter_mentioned_in_the_text_is_no_heading() {
        assert_eq!(chapters("Chapter and verse\nthe chapter 3\nChapter one\nChapter\n"), []);
    }

    #[test]
    fn lines_may_end_with_a_carriage_return() {
        let chapters = chapters("Chapter 1\r\nOne.\r\n");
        assert_eq!(chapters, [Chapter { title: "Chapter 1", text: "One.\r\n" }]);
    }
}

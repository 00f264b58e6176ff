//! Limits the text of guests about their failures that the host keeps and repeats. A guest may send as much text as its
//! memory holds, and each of its callers, and the log, would get a copy.

/// The longest sentence of a guest that the host keeps, in bytes.
pub const SENTENCE: usize = 2 * 1024;
/// The longest backtrace that the host keeps, in bytes. Its function names come from the guest, too.
pub const BACKTRACE: usize = 16 * 1024;

/// Returns `words`, or only their beginning if they have more than `limit` bytes.
pub fn clip(mut words: String, limit: usize) -> String {
    if words.len() > limit {
        words.truncate(words.floor_char_boundary(limit));
        words.push('…');
        words.shrink_to_fit();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_too_long_is_cut_between_characters() {
        assert_eq!(clip("short".into(), 5), "short");
        assert_eq!(clip("longer".into(), 5), "longe…");
        assert_eq!(clip("äöü".into(), 3), "ä…");
    }
}

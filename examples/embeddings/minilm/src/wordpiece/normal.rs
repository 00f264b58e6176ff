//! Brings a text into the form of the vocabulary: lower case, no accents, and spaces between the words.

use std::iter;

use unicode_categories::UnicodeCategories as _;
use unicode_normalization::UnicodeNormalization as _;

/// Returns the characters of `text` in lower case and without accents. Leaves out invisible characters. Every kind of
/// white space becomes a space, and each character that is a word of its own gets a space on both sides.
pub fn normal(text: &str) -> impl Iterator<Item = char> {
    let seen = text.chars().filter(|&character| !is_dropped(character));
    let spaced = seen.flat_map(|character| {
        let character = if character.is_whitespace() { ' ' } else { character };
        let space = is_ideograph(character).then_some(' ');
        space.into_iter().chain(iter::once(character)).chain(space)
    });
    // NFD splits an accented letter into the letter and its accent, which is then left out.
    spaced.nfd().filter(|character| !character.is_mark_nonspacing()).flat_map(char::to_lowercase)
}

fn is_dropped(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => false,
        '\0' | '\u{fffd}' => true,
        _ => character.is_other(),
    }
}

/// Returns true for a Chinese character, also in Japanese or Korean text. The ranges are those of the original
/// tokenizer, including their gap.
fn is_ideograph(character: char) -> bool {
    matches!(u32::from(character),
        0x4e00..=0x9fff | 0x3400..=0x4dbf | 0x2_0000..=0x2_a6df | 0x2_a700..=0x2_b73f | 0x2_b740..=0x2_b81f
        | 0x2_b920..=0x2_ceaf | 0xf900..=0xfaff | 0x2_f800..=0x2_fa1f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_accents_do_not_matter() {
        assert_eq!(normal("Crème BRÛLÉE, e\u{301}, İ").collect::<String>(), "creme brulee, e, i");
    }

    #[test]
    fn white_space_becomes_spaces_and_invisible_characters_go() {
        assert_eq!(normal("a\tb\u{a0}c\u{200b}d\0e\u{7}f\r\n").collect::<String>(), "a b cdef  ");
    }

    #[test]
    fn ideographs_stand_alone_and_kana_does_not() {
        assert_eq!(normal("北京です").collect::<String>(), " 北  京 て\u{3059}");
    }
}

//! A text as the vocabulary has it: in lower case, without accents, and with spaces that part the words.

use std::iter;

use unicode_categories::UnicodeCategories as _;
use unicode_normalization::UnicodeNormalization as _;

/// The characters of `text`, without what is not seen, with a space for every kind of white space and on both sides of
/// each character that is a word of its own, in lower case and without accents.
pub fn normal(text: &str) -> impl Iterator<Item = char> {
    let seen = text.chars().filter(|&character| !is_dropped(character));
    let spaced = seen.flat_map(|character| {
        let character = if character.is_whitespace() { ' ' } else { character };
        let space = is_ideograph(character).then_some(' ');
        space.into_iter().chain(iter::once(character)).chain(space)
    });
    // An accent that is a part of a character becomes one of its own before it is left out.
    spaced.nfd().filter(|character| !character.is_mark_nonspacing()).flat_map(char::to_lowercase)
}

fn is_dropped(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => false,
        '\0' | '\u{fffd}' => true,
        _ => character.is_other(),
    }
}

/// Whether this is a Chinese character, also in Japanese or Korean text. The ranges are the original's, with the gap that
/// it has.
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
    fn white_space_is_one_kind_and_what_is_not_seen_is_gone() {
        assert_eq!(normal("a\tb\u{a0}c\u{200b}d\0e\u{7}f\r\n").collect::<String>(), "a b cdef  ");
    }

    #[test]
    fn ideographs_stand_alone_and_kana_does_not() {
        assert_eq!(normal("北京です").collect::<String>(), " 北  京 て\u{3059}");
    }
}

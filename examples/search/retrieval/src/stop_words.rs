//! Words that are in every English text, and so do not distinguish passages.

use std::{collections::HashSet, sync::LazyLock};

/// Returns true if `word`, in lower case, is one of them.
pub(crate) fn is_stop_word(word: &str) -> bool {
    static STOP_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| LIST.split(' ').collect());
    STOP_WORDS.contains(word)
}

/// The list has the function words, words of which questions are made ("who", "does"), and contractions, which Unicode
/// does not split.
const LIST: &str = "\
    a about above after again against ah all also although am among an and another any are \
    aren't as at away be because been before being below between both but by can can't cannot \
    could couldn't did didn't do does doesn't doing don't down during each either else etc \
    ever every few for from further had hadn't has hasn't have haven't having he he'd he'll \
    he's hence her here here's hers herself him himself his how how's however i i'd i'll i'm \
    i've if in indeed into is isn't it it'll it's its itself just let's may me might mine more \
    most mr mrs much must mustn't my myself neither no nor not now of off oh on once one only or \
    other others ought our ours ourselves out over own quite rather same shall shan't she \
    she'd she'll she's should shouldn't so some such than that that's the their theirs them \
    themselves then there there's therefore these they they'd they'll they're they've this \
    those though through thus till to too under until up upon us very was wasn't we we'd we'll \
    we're we've were weren't what what's whatever when when's where where's whether which \
    while who who's whom whose why why's will with within without won't would wouldn't yes yet \
    you you'd you'll you're you've your yours yourself yourselves";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_has_no_word_twice() {
        assert!(LIST.split(' ').is_sorted_by(|left, right| left < right));
    }

    #[test]
    fn only_function_words_are_stop_words() {
        assert!(is_stop_word("the") && is_stop_word("who") && is_stop_word("wouldn't"));
        assert!(!is_stop_word("pride") && !is_stop_word("prejudice") && !is_stop_word(""));
    }
}

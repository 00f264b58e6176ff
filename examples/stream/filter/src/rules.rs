//! Rules for words.

use serde::Deserialize;

/// `[chainlets.filter.config]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Words that are hidden.
    hide: Vec<String>,
    /// Words that end an answer before them.
    refuse: Vec<String>,
}

/// The judgement of a word.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The word is passed on.
    Say,
    /// This text is passed on instead.
    Hide(String),
    /// The answer ends because of this word.
    Refuse(String),
}

impl Rules {
    /// Judges a word, including the marks before and after it.
    pub fn judge(&self, word: &str) -> Verdict {
        let plain = word.trim_matches(|c: char| !c.is_alphanumeric());
        let is_in = |words: &[String]| words.iter().any(|listed| listed.eq_ignore_ascii_case(plain));
        if is_in(&self.refuse) {
            Verdict::Refuse(plain.to_owned())
        } else if is_in(&self.hide) {
            Verdict::Hide(word.chars().map(|c| if c.is_alphanumeric() { '•' } else { c }).collect())
        } else {
            Verdict::Say
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_recognised_with_marks_around_it() {
        let rules = Rules { hide: vec!["Wickham".to_owned()], refuse: vec!["scandal".to_owned()] };
        assert_eq!(rules.judge(" Wickham,"), Verdict::Hide(" •••••••,".to_owned()));
        assert_eq!(rules.judge(" \"Scandal!\""), Verdict::Refuse("Scandal".to_owned()));
        assert_eq!(rules.judge(" scandalous"), Verdict::Say);
        assert_eq!(rules.judge(" --"), Verdict::Say);
    }
}

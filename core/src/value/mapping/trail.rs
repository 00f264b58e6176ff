//! The place in a document where reading failed.

use std::cell::RefCell;

/// The longest key that a pointer repeats, in bytes. It is limited because pointers go into answers and logs.
const LONGEST_KEY: usize = 256;

/// The way from the root of a document to the place of an error. It is gathered while the error returns through the
/// visitors, so it costs nothing while nothing fails.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// The steps, innermost first.
    steps: RefCell<Vec<String>>,
}

impl Trail {
    /// Notes that an error came out of the member `key` of an object.
    pub(super) fn key(&self, key: &str) {
        let step = match key.char_indices().map(|(at, _)| at).find(|at| *at > LONGEST_KEY) {
            Some(end) => format!("{}…", key.get(..end).unwrap_or_default()),
            None => key.to_owned(),
        };
        self.steps.borrow_mut().push(step.replace('~', "~0").replace('/', "~1"));
    }

    /// Notes that an error came out of the element `index` of an array.
    pub(super) fn index(&self, index: usize) {
        self.steps.borrow_mut().push(index.to_string());
    }

    /// Returns the JSON pointer (RFC 6901) of the place; empty for the root.
    pub(super) fn pointer(&self) -> String {
        self.steps.borrow().iter().rev().flat_map(|step| ["/", step.as_str()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_runs_from_the_root_and_escapes_its_steps() {
        let trail = Trail::default();
        assert_eq!(trail.pointer(), "");
        trail.index(3);
        trail.key("a/b~c");
        assert_eq!(trail.pointer(), "/a~1b~0c/3");
    }

    #[test]
    fn a_pointer_does_not_repeat_a_key_of_any_length() {
        let trail = Trail::default();
        trail.key(&"ä".repeat(100_000));
        assert!(trail.pointer().len() < 300);
    }
}

//! The path of a key in chain.toml.

use std::fmt;

/// The path of a key from the top of chain.toml, such as `chainlets.say-hello.assets.files[0].path`.
///
/// ```
/// # use chainhost_core as chainhost;
/// use chainhost::config::KeyPath;
///
/// let path = KeyPath::from(["chainlets", "say-hello", "assets", "files"]).index(0).key("path");
/// assert_eq!(path.to_string(), "chainlets.say-hello.assets.files[0].path");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyPath(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
}

impl KeyPath {
    /// Returns the path of the file as a whole.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Returns the path of the key `name` in the table at this path.
    #[must_use]
    pub fn key(&self, name: impl AsRef<str>) -> Self {
        self.with(Segment::Key(name.as_ref().to_owned()))
    }

    /// Returns the path of the element at `index`, counted from 0, of the array at this path.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// Returns the path of the table or array that holds this key, or `None` for the file as a whole.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_last()?;
        Some(Self(parent.to_vec()))
    }

    /// Returns true if this path is `other` or lies in it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Returns the path from the top of `inner`, which is seen from the table at this path.
    pub(super) fn join(&self, inner: &Self) -> Self {
        Self(self.0.iter().chain(&inner.0).cloned().collect())
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.0
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

impl<S: AsRef<str>, const N: usize> From<[S; N]> for KeyPath {
    fn from(keys: [S; N]) -> Self {
        Self(keys.iter().map(|key| Segment::Key(key.as_ref().to_owned())).collect())
    }
}

impl From<&KeyPath> for KeyPath {
    fn from(path: &KeyPath) -> Self {
        path.clone()
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => {
                    if place > 0 {
                        f.write_str(".")?;
                    }
                    f.write_str(&quoted_unless_bare(key))?;
                }
            }
        }
        Ok(())
    }
}

/// Returns the key as TOML has to write it: in quotes, unless it is a bare key.
pub(super) fn quoted_unless_bare(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if bare { key.to_owned() } else { format!("{key:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_it_would_be_written_in_toml() {
        let path = KeyPath::from(["chainlets", "a.b", "files"]).index(2).key("");
        assert_eq!(path.to_string(), r#"chainlets."a.b".files[2]."""#);
        assert_eq!(KeyPath::root().to_string(), "");
    }

    #[test]
    fn a_key_lies_within_its_parents_and_itself() {
        let path = KeyPath::from(["chain", "name"]);
        assert!(path.is_within(&path));
        assert!(path.is_within(&KeyPath::from(["chain"])));
        assert!(path.is_within(&KeyPath::root()));
        assert!(!KeyPath::from(["chain"]).is_within(&path));
        assert_eq!(path.parent(), Some(KeyPath::from(["chain"])));
    }
}

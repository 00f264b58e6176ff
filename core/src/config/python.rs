//! `python` of a chainlet: the class from which its component is made.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use super::name::ChainletName;
use super::place::Place;
use super::reader::{Expected, Node, Problems};
use super::row_type::{RowType, Text};

/// A class in a file of Python, written `chain.py:SayHello`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PythonClass {
    /// The file, relative to chain.toml.
    pub file: PathBuf,
    /// The name of the class.
    pub class: String,
}

impl ChainletName {
    /// Returns the path, relative to chain.toml, of a file that `chainhost build` makes of this chainlet's source:
    /// `build/NAME.wasm` is the component, `build/NAME.toml` has what the source declares.
    #[must_use]
    pub fn derived(&self, extension: &str) -> String {
        format!("build/{self}.{extension}")
    }
}

/// The reason why a text names no class of Python.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PythonClassError {
    /// There is no colon with a name after it.
    #[error("no name of a class follows the file")]
    NoClass,
    /// The part after the colon is no name.
    #[error("{0:?} is no name of a class")]
    BadClass(String),
    /// The file has no name that Python could import.
    #[error("{0:?} is no file of Python")]
    BadFile(String),
}

impl FromStr for PythonClass {
    type Err = PythonClassError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (file, class) = text.rsplit_once(':').ok_or(PythonClassError::NoClass)?;
        if !file.strip_suffix(".py").is_some_and(|stem| !stem.is_empty() && !stem.ends_with('/')) {
            return Err(PythonClassError::BadFile(file.to_owned()));
        }
        let begins = |letter: char| letter.is_alphabetic() || letter == '_';
        if !class.starts_with(begins) || !class.chars().all(|letter| letter.is_alphanumeric() || letter == '_') {
            return Err(PythonClassError::BadClass(class.to_owned()));
        }
        Ok(PythonClass { file: file.into(), class: class.to_owned() })
    }
}

impl fmt::Display for PythonClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.class)
    }
}

impl Serialize for PythonClass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl RowType for PythonClass {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "a file of Python and a class in it"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.parsed(problems, expected, Self::from_str)
    }

    fn schema((): &(), generator: &mut SchemaGenerator) -> Schema {
        String::schema(&Text::Matches(r"^.+\.py:\w+$"), generator)
    }

    fn check(&self, (): &(), place: &mut Place<'_>) {
        if let Err(error) = self.to_string().parse::<Self>() {
            place.wrong(format!("expected {}, found {:?}: {error}", Self::what(&()), self.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_named_after_its_file() {
        let class: PythonClass = "src/my chain.py:SayHello_2".parse().unwrap();
        assert_eq!((class.file.to_str(), class.class.as_str()), (Some("src/my chain.py"), "SayHello_2"));
        assert_eq!(class.to_string(), "src/my chain.py:SayHello_2");
        let refusal = |text: &str| text.parse::<PythonClass>().unwrap_err();
        assert_eq!(refusal("chain.py"), PythonClassError::NoClass);
        assert_eq!(refusal("chain:SayHello"), PythonClassError::BadFile("chain".to_owned()));
        assert_eq!(refusal(".py:A"), PythonClassError::BadFile(".py".to_owned()));
        for class in ["", "2b", "say-hello", "a.B"] {
            assert_eq!(refusal(&format!("c.py:{class}")), PythonClassError::BadClass(class.to_owned()));
        }
    }
}

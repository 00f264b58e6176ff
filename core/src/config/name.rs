//! The names in chain.toml. Each kind of name has a type of its own.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use super::reader::{Expected, Node, Problems};
use super::row_type::RowType;

/// The longest name, in bytes: that of a DNS label, so that a name fits into a host name, a URL and a metric label.
const MAX_LENGTH: usize = 63;

/// The longest name of a secret or an interface, in bytes. Others choose these names, so the limit is wider.
const MAX_FOREIGN_LENGTH: usize = 255;

/// The reason why a text is not a name of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not {kind}: expected {rule}")]
pub struct NameError {
    found: String,
    kind: &'static str,
    rule: &'static str,
    suggestion: Option<String>,
}

impl NameError {
    /// Returns a valid name that is close to the one that was found.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }
}

/// Defines kinds of names. Each is a string that is cheap to clone and was checked when it was made.
macro_rules! names {
    ($($(#[$doc:meta])* $Name:ident is $kind:literal of $rule:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $Name(Arc<str>);

        impl $Name {
            pub(super) const PATTERN: &'static str = $rule.pattern;

            /// Checks `name` and makes it a name of this kind.
            ///
            /// # Errors
            /// Fails if `name` breaks the rule for its kind. The error says the rule.
            pub fn new(name: impl AsRef<str>) -> Result<Self, NameError> {
                let name = name.as_ref();
                if ($rule.holds)(name) {
                    return Ok(Self(name.into()));
                }
                let suggestion = ($rule.suggest)(name).filter(|suggestion| ($rule.holds)(suggestion));
                Err(NameError { found: name.to_owned(), kind: $kind, rule: $rule.words, suggestion })
            }

            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl AsRef<str> for $Name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $Name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $Name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $Name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl FromStr for $Name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl TryFrom<&str> for $Name {
            type Error = NameError;

            fn try_from(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl Serialize for $Name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )+};
}

names! {
    /// The name of a chain, `[chain] name`: lowercase words joined by hyphens, such as `hello-all`.
    ChainName is "the name of a chain" of KEBAB;

    /// The name of an environment that a chain runs in, such as `production`; by default `development`.
    EnvironmentName is "the name of an environment" of ENVIRONMENT;

    /// The name of a chainlet, `[chainlets.NAME]`: lowercase words joined by hyphens, such as `say-hello`.
    ChainletName is "the name of a chainlet" of KEBAB;

    /// The name under which a chainlet imports another: the import's name in its WIT world, or the last segment of the
    /// interface's id, such as `say-hello` for `demo:hello/say-hello@1.0.0`. If several imports have that segment, each
    /// is named by the id itself.
    DependencyName is "the name of a dependency" of DEPENDENCY;

    /// The name of a secret, such as `hf_access_token`. It is never the value.
    SecretName is "the name of a secret" of SECRET;

    /// The name of a store of keys and values, `[stores.NAME]`: lowercase words joined by hyphens, such as `sessions`.
    StoreName is "the name of a store" of KEBAB;

    /// The id of an exported interface, such as `demo:hello/greeter@1.0.0`, or the plain name of an inline one.
    InterfaceName is "the name of an interface" of INTERFACE;
}

/// Makes kinds of names the types of keys.
macro_rules! row_types {
    ($($Name:ident: $what:literal;)+) => {$(
        impl RowType for $Name {
            type Bounds = ();

            fn what((): &()) -> &'static str {
                $what
            }

            fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
                node.name(problems, expected)
            }

            fn schema((): &(), generator: &mut SchemaGenerator) -> Schema {
                generator.subschema_for::<Self>()
            }
        }
    )+};
}

row_types! {
    ChainName: "the name of the chain";
    EnvironmentName: "the name of an environment";
    ChainletName: "the name of a chainlet";
    StoreName: "the name of a store";
    InterfaceName: "the name of an exported interface";
}

impl Default for EnvironmentName {
    fn default() -> Self {
        Self("development".into())
    }
}

/// The rule for a kind of name: as a check, as a pattern for editors, and in words.
struct Rule {
    holds: fn(&str) -> bool,
    pattern: &'static str,
    words: &'static str,
    suggest: fn(&str) -> Option<String>,
}

const KEBAB: Rule = Rule {
    holds: |name| name.len() <= MAX_LENGTH && is_label(name) && !name.contains(|c: char| c.is_ascii_uppercase()),
    pattern: "^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
    words: "lowercase words of letters and digits joined by hyphens, beginning with a letter, at most 63 characters",
    suggest: |name| Some(kebab(name)),
};

const ENVIRONMENT: Rule = Rule {
    holds: |name| {
        (1..=MAX_LENGTH).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    },
    pattern: "^[A-Za-z0-9._-]+$",
    words: "letters, digits, `.`, `_` and `-`, at most 63 characters",
    suggest: |name| Some(kebab(name)),
};

const DEPENDENCY: Rule = Rule {
    holds: INTERFACE.holds,
    pattern: INTERFACE.pattern,
    words: "the plain name of an import, its interface's id such as `demo:hello/say-hello@1.0.0`, or the last segment of that, \
            as WIT writes it",
    suggest: |name| Some(kebab(name)),
};

const SECRET: Rule = Rule {
    holds: |name| {
        name.len() <= MAX_FOREIGN_LENGTH
            && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    },
    pattern: "^[A-Za-z_][A-Za-z0-9_-]*$",
    words: "letters, digits, `_` and `-`, beginning with a letter or `_`",
    suggest: |name| Some(kebab(name).replace('-', "_")),
};

const INTERFACE: Rule = Rule {
    holds: |name| name.len() <= MAX_FOREIGN_LENGTH && (is_label(name) || interface_name(name).is_some()),
    pattern: "^[A-Za-z0-9-]+((:[A-Za-z0-9-]+)+(/[A-Za-z0-9-]+)+(@[0-9A-Za-z.+-]+)?)?$",
    words: "an id such as `demo:hello/greeter@1.0.0`, or the plain name of an inline interface",
    suggest: |_| None,
};

/// Returns true if `name` is a WIT label: words joined by hyphens, each all lowercase or all uppercase, the first
/// beginning with a letter.
fn is_label(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && (word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
                || word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()))
    };
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.split('-').all(is_word)
}

/// Returns the interface's own name, if `id` has the form `namespace:package/interface@version`, whose version may be
/// left out.
fn interface_name(id: &str) -> Option<&str> {
    let (path, version) = match id.split_once('@') {
        Some((path, version)) => (path, Some(version)),
        None => (id, None),
    };
    let is_version = |version: &str| {
        version.starts_with(|c: char| c.is_ascii_digit())
            && version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-'))
    };
    let (package, interfaces) = path.split_once('/')?;
    let whole = package.contains(':')
        && package.split(':').all(is_label)
        && interfaces.split('/').all(is_label)
        && version.is_none_or(is_version);
    interfaces.rsplit('/').next().filter(|_| whole)
}

/// Returns `name` as lowercase words joined by hyphens, as far as it has any: `SayHello` and `say_hello` become
/// `say-hello`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    let mut after_lowercase = false;
    for c in name.chars() {
        let boundary = !c.is_ascii_alphanumeric() || (after_lowercase && c.is_ascii_uppercase());
        if boundary && !kebab.is_empty() && !kebab.ends_with('-') {
            kebab.push('-');
        }
        if c.is_ascii_alphanumeric() {
            kebab.push(c.to_ascii_lowercase());
        }
        after_lowercase = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    kebab.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chainlet_name_is_lowercase_words_joined_by_hyphens() {
        for good in ["a", "say-hello", "v2", "step-2"] {
            assert!(ChainletName::new(good).is_ok(), "{good:?} was refused");
        }
        let long = "a".repeat(64);
        for bad in ["", "-", "a-", "-a", "a--b", "Say", "say_hello", "2nd", "sä", "a b", "a.b", long.as_str()] {
            assert!(ChainletName::new(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_rejected_name_comes_with_a_valid_one_that_is_close() {
        let suggestion = |name| ChainletName::new(name).err().and_then(|error| error.suggestion().map(str::to_owned));
        assert_eq!(suggestion("say_hello").as_deref(), Some("say-hello"));
        assert_eq!(suggestion("SayHello ").as_deref(), Some("say-hello"));
        assert_eq!(suggestion("2nd"), None);
        assert_eq!(suggestion("…"), None);
    }

    #[test]
    fn a_dependency_is_named_by_an_interface_id_or_its_last_segment() {
        for good in ["HTTP-client", "demo:hello/say-hello@1.0.0", "demo:hello/say-hello"] {
            assert!(DependencyName::new(good).is_ok(), "{good:?} was refused");
        }
        assert_eq!(DependencyName::new("say_hello").unwrap_err().suggestion(), Some("say-hello"));
    }

    #[test]
    fn an_interface_is_an_id_or_a_plain_name() {
        for good in ["greeter", "demo:hello/greeter", "demo:hello/greeter@0.1.0-rc.1", "a:b:c/d"] {
            assert!(InterfaceName::new(good).is_ok(), "{good:?} was refused");
        }
        for bad in ["", "demo:hello", "demo/greeter", "demo:hello/", "demo:hello/greeter@", "demo:hello/Gree ter"] {
            assert!(InterfaceName::new(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_secret_name_can_become_the_name_of_an_environment_variable() {
        assert!(SecretName::new("hf_access_token").is_ok());
        assert!(SecretName::new("HF-TOKEN").is_ok());
        for bad in ["", "a=b", "a b", "1st", "a\0b", "a.b"] {
            assert!(SecretName::new(bad).is_err(), "{bad:?} was accepted");
        }
    }
}

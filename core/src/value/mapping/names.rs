//! WIT names in text: keys of objects, cases of variants and enums, flags.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};

use super::reading::Reading;
use super::words::{Names, clip};
use crate::value::ty::{Member, Name};

/// Reads a string that must be the name of one of `members`.
#[derive(Clone, Copy)]
pub(super) struct NameSeed<'a> {
    pub members: &'a [Member],
    /// The word for a member in messages: field, parameter, case, flag.
    pub noun: &'static str,
    /// The member to try first; in a record, the one after the last that was read.
    pub likely: usize,
    /// For a key of an object: the reading that notes the place of an unknown key.
    pub key_of: Option<&'a Reading>,
}

/// A name that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// The index of the member that the text names.
    pub index: usize,
    kebab: bool,
}

impl Found {
    /// Returns the member's name as the text spelled it.
    pub(super) fn spelled(self, name: &Name) -> &str {
        if self.kebab { name.kebab() } else { name.snake() }
    }
}

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name of a {} as a string, one of {}", self.noun, Names(self.members))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Found, E> {
        let is_likely = |member: &&Member| member.name.snake() == text;
        let found = match self.members.get(self.likely).filter(is_likely) {
            Some(_) => Some(self.likely),
            None => self.members.iter().position(|member| member.name.matches(text)),
        };
        match found.and_then(|index| Some((index, self.members.get(index)?))) {
            Some((index, member)) => Ok(Found { index, kebab: member.name.snake() != text }),
            None => {
                if let Some(reading) = self.key_of {
                    reading.key(text);
                }
                let (noun, members) = (self.noun, self.members);
                Err(E::custom(match members {
                    [] => format!("unknown {noun} `{}`, expected none", clip(text)),
                    _ => format!("unknown {noun} `{}`, expected one of {}", clip(text), Names(members)),
                }))
            }
        }
    }
}

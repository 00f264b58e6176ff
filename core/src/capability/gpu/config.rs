//! The keys of chain.toml about GPUs: `resources.gpu` of a chainlet, and `[gpu]`.
//!
//! The doc comments on the items of chain.toml are also the descriptions in the JSON
//! Schema.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use toml::de::DeValue;

use crate::config::ByteSize;
use crate::config::place::Place;
use crate::config::reader::{Expected, Node, Problems};
use crate::config::row_type::{Count, Off, RowType, Sizes};
use crate::config::table::{Table, table};

table! {
    /// The limits of what one replica may use of a GPU, for example
    ///
    /// ```toml
    /// [chainlets.embed.resources]
    /// gpu = { adapter = "discrete", memory = "8GiB", timeout = "2s" }
    /// ```
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct GpuResources {
        /// The adapter. It is chosen by its kind, `adapter = "discrete"`, `"integrated"`, `"virtual"` or `"cpu"`; by a part
        /// of its name, `adapter = "RTX 4090"`; or by its number in the list that `chainhost gpus` prints, `adapter = 0`.
        /// By default, it is the best one that there is: a discrete one before an integrated, a virtual, any other, and
        /// `cpu`.
        pub adapter: Option<AdapterChoice> = None, like "adapter = \"discrete\" or adapter = 0",
            help "write it like adapter = \"RTX\", or remove it for the best adapter that there is";

        /// The most bytes that all buffers of one replica may have together, with a unit, for example `memory = "8GiB"`.
        pub memory: ByteSize = ByteSize::gib(1), bounds Sizes::AtLeast(LEAST_MEMORY), like "memory = \"4GiB\"";

        /// The most submissions of one device that may be under way, for example `queue = 8`. A further one waits.
        pub queue: u32 = 32, bounds Count::AtLeastOne("submissions"), like "queue = 32";

        /// The longest time that the GPU may work on one submission, and that a shader may compile, for example
        /// `timeout = "2s"`. After that, the device is lost.
        // No kernel of a service should take longer than the default, and some drivers allow no more.
        pub timeout: Duration = Duration::from_secs(10), like "timeout = \"10s\"";

        /// True if the chainlet starts even if no adapter fits, for example `optional = true`. The list of its adapters is
        /// empty then.
        pub optional: bool = false, like "optional = true";

        /// True if a new replica replaces one that has lost a device, which is the default. Set `replace_on_loss = false`
        /// for a chainlet that requests another device by itself.
        pub replace_on_loss: bool = true, like "replace_on_loss = false";
    }
}

/// The least `memory`: the largest uniform buffer that WebGPU promises on every adapter.
const LEAST_MEMORY: ByteSize = ByteSize::kib(64);

impl Table for GpuResources {
    const WHAT: &'static str = "true, false, or a table";
    const OFF: Off = Off::Written;
    const HINTS: &'static [(&'static str, &'static str)] =
        &[("isolation", "move it to the table [gpu], as isolation = \"process\"; it holds for the whole chain")];

    fn read_short(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.default_if_true(problems, expected)
    }

    fn short_schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(bool::schema(&(), generator))
    }
}

/// The choice of an adapter of the machine for a chainlet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AdapterChoice {
    /// An adapter of this kind.
    Kind(AdapterKind),
    /// The adapter at this place, counted from 0, of the list that `chainhost gpus` prints.
    Index(u32),
    /// An adapter whose name contains this text, in upper or lower case.
    Name(String),
}

/// The kind of an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AdapterKind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the memory of the processor.
    Integrated,
    /// A part of a GPU, in a virtual machine.
    Virtual,
    /// Software on the processor: correct, and slow.
    Cpu,
}

/// The reason why a text chooses no adapter: it is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("every adapter's name holds it, so it chooses none")]
pub struct AdapterChoiceError;

table! {
    /// The settings of GPU work for the whole chain, for example
    ///
    /// ```toml
    /// [gpu]
    /// isolation = "process"
    /// ```
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct GpuHost {
        /// The place where GPU work runs, for example `isolation = "process"`.
        pub isolation: Isolation = Isolation::InProcess, like "isolation = \"process\"";
    }
}

impl Table for GpuHost {
    const WHAT: &'static str = "a table that says how GPU work runs";
    const HINTS: &'static [(&'static str, &'static str)] = &[
        ("adapter", TO_THE_CHAINLET),
        ("memory", TO_THE_CHAINLET),
        ("queue", TO_THE_CHAINLET),
        ("timeout", TO_THE_CHAINLET),
        ("optional", TO_THE_CHAINLET),
        ("replace_on_loss", TO_THE_CHAINLET),
    ];
}

const TO_THE_CHAINLET: &str = "move it to the chainlet that it is about, as in resources.gpu = { memory = \"4GiB\" }";

/// The place where GPU work runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// GPU work runs in the host itself. This is fastest. But work that a driver cannot interrupt goes on after its
    /// deadline, and a crash of the driver is a crash of the host.
    #[default]
    InProcess,
    /// GPU work of each replica runs in a worker process, which the host can kill and replace. `docs/gpu.md` says what
    /// this costs.
    Process,
}

impl GpuHost {
    /// Returns the settings with which GPU work runs as `isolation` says.
    #[must_use]
    pub const fn new(isolation: Isolation) -> Self {
        Self { isolation }
    }
}

impl AdapterKind {
    const ALL: [Self; 4] = [Self::Discrete, Self::Integrated, Self::Virtual, Self::Cpu];

    /// Returns the word for it in chain.toml.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Cpu => "cpu",
        }
    }
}

impl Isolation {
    const ALL: [Self; 2] = [Self::InProcess, Self::Process];

    /// Returns the word for it in chain.toml.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::Process => "process",
        }
    }
}

impl fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Quotes a part of a name, so that it cannot be taken for a kind or an index.
impl fmt::Display for AdapterChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => kind.fmt(f),
            Self::Index(index) => index.fmt(f),
            Self::Name(name) => write!(f, "{name:?}"),
        }
    }
}

/// Reads a text as in chain.toml: a kind, or else a part of a name. A number in a text is part of a name, too, such as
/// that of the model.
impl FromStr for AdapterChoice {
    type Err = AdapterChoiceError;

    fn from_str(text: &str) -> Result<Self, AdapterChoiceError> {
        if text.trim().is_empty() {
            return Err(AdapterChoiceError);
        }
        let kind = AdapterKind::ALL.into_iter().find(|kind| text.eq_ignore_ascii_case(kind.as_str()));
        Ok(kind.map_or_else(|| Self::Name(text.to_owned()), Self::Kind))
    }
}

/// Writes the choice as in chain.toml: an index as a number, any other choice as a text.
impl Serialize for AdapterChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Index(index) => serializer.serialize_u32(*index),
            Self::Kind(kind) => serializer.serialize_str(kind.as_str()),
            Self::Name(name) => serializer.serialize_str(name),
        }
    }
}

/// A number is a place in the list of adapters. A text is a kind, or else a part of a name.
impl RowType for AdapterChoice {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "a kind of adapter (\"discrete\", \"integrated\", \"virtual\", \"cpu\"), a part of its name, or its number in the list \
         of `chainhost gpus`"
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        match node.value {
            DeValue::Integer(_) => node.count(problems, expected).map(Self::Index),
            _ => node.parsed(problems, expected, str::parse),
        }
    }

    /// Lists the kinds apart from other texts, so that editors offer them.
    fn schema((): &(), _: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "enum": AdapterKind::ALL.map(AdapterKind::as_str) },
                { "type": "integer", "minimum": 0, "maximum": u32::MAX },
                { "type": "string", "pattern": r"\S" },
            ],
        })
    }

    fn check(&self, (): &(), place: &mut Place<'_>) {
        if let Self::Name(name) = self
            && name.trim().is_empty()
        {
            place.wrong(format!("expected a part of an adapter's name, found {name:?}: {AdapterChoiceError}"));
        }
    }
}

impl RowType for Isolation {
    type Bounds = ();

    fn what((): &()) -> &'static str {
        "\"in-process\" or \"process\""
    }

    fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
        node.parsed(problems, expected, |text| {
            Self::ALL.into_iter().find(|isolation| isolation.as_str() == text).ok_or("it is none of these")
        })
    }

    fn schema((): &(), generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_kind_of_adapter_or_a_part_of_its_name() {
        for kind in AdapterKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(AdapterChoice::Kind(kind)));
            assert_eq!(kind.as_str().to_uppercase().parse(), Ok(AdapterChoice::Kind(kind)));
        }
        for name in ["RTX 4090", "cpus", "4090", "0", "é"] {
            assert_eq!(name.parse(), Ok(AdapterChoice::Name(name.to_owned())));
        }
    }

    #[test]
    fn a_text_that_is_part_of_every_name_is_rejected() {
        for text in ["", " ", "\t"] {
            assert_eq!(text.parse::<AdapterChoice>(), Err(AdapterChoiceError), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_choice_is_written_as_it_stands_in_the_file() {
        let written = |choice: AdapterChoice| serde_json::to_string(&choice).unwrap();
        assert_eq!(written(AdapterChoice::Index(1)), "1");
        assert_eq!(written(AdapterChoice::Kind(AdapterKind::Cpu)), "\"cpu\"");
        assert_eq!(written(AdapterChoice::Name("1".to_owned())), "\"1\"");
    }

    #[test]
    fn messages_quote_a_part_of_a_name_but_no_index_and_no_kind() {
        assert_eq!(AdapterChoice::Index(1).to_string(), "1");
        assert_eq!(AdapterChoice::Kind(AdapterKind::Cpu).to_string(), "cpu");
        assert_eq!(AdapterChoice::Name("1".to_owned()).to_string(), "\"1\"");
    }

    #[test]
    fn an_isolation_is_written_with_the_word_that_is_read() {
        for isolation in Isolation::ALL {
            assert_eq!(serde_json::to_value(isolation).unwrap(), isolation.as_str());
        }
    }
}

//! `resources` of a chainlet: the parts of the machine that it may use.

use super::place::Place;
use super::row_type::Sizes;
use super::size::ByteSize;
use super::table::{Table, table};
use crate::capability::gpu::GpuResources;

/// The least `memory`: one page of WebAssembly.
const LEAST_MEMORY: ByteSize = ByteSize::kib(64);

/// The most memory that 32-bit WebAssembly can address.
const MOST_MEMORY: ByteSize = ByteSize::gib(4);

/// The least `value_limit`. Even a line of output is a call of the host, to which this limit applies.
const LEAST_VALUE: ByteSize = ByteSize::kib(64);

table! {
    /// The parts of the machine that one replica may use.
    #[derive(Debug, Clone, PartialEq)]
    #[non_exhaustive]
    pub struct Resources {
        /// The share of a processor, for example `cpu = 0.5` for half of one. A replica computes on one thread, so a larger
        /// number than 1 means 1. To use more processors, raise `replicas`.
        pub cpu: f64 = 1.0, is "a number of processors greater than 0", like "cpu = 0.5",
            help "write it like cpu = 1, or cpu = 0.5 for half of one";

        /// The most memory, with a unit, for example `memory = "256MiB"`. At most `"4GiB"`, which is all that 32-bit
        /// WebAssembly can address.
        pub memory: ByteSize = ByteSize::gib(2), bounds Sizes::FromTo(LEAST_MEMORY, MOST_MEMORY),
            like "memory = \"256MiB\"",
            help "choose a size that 32-bit WebAssembly can use, such as memory = \"256MiB\"";

        /// The most bytes that the values of one call may have, for example `value_limit = "1GiB"`. The limit applies to
        /// the values that the host takes from the chainlet's memory, as its result or as the parameters of a call that it
        /// makes, and to the values that a request's body becomes.
        pub value_limit: ByteSize = ByteSize::mib(512), bounds Sizes::AtLeast(LEAST_VALUE),
            like "value_limit = \"512MiB\"";

        /// The most bytes that the parameters of all calls may have together that one replica has under way, for example
        /// `values_limit = "2GiB"`. It is at least `value_limit`.
        pub values_limit: ByteSize = ByteSize::gib(1), like "values_limit = \"1GiB\"";

        /// The chainlet's GPU, if it may use one: `gpu = true` for one with the default limits, or a table with other
        /// limits, `gpu = { adapter = "discrete", memory = "8GiB" }`.
        pub gpu: Option<GpuResources> = None, like "gpu = true or gpu = { memory = \"4GiB\", timeout = \"2s\" }";
    }
}

impl Table for Resources {
    const WHAT: &'static str = "a table of resources";
    const HINTS: &'static [(&'static str, &'static str)] = &[
        ("ram", "write memory, as in memory = \"256MiB\""),
        ("threads", "write cpu, as in cpu = 0.5; a replica computes on one thread"),
        ("limits", "write the limits themselves, as in memory = \"256MiB\""),
    ];

    fn check_rules(&self, place: &mut Place<'_>) {
        let &Self { value_limit, values_limit, .. } = self;
        if value_limit >= LEAST_VALUE && values_limit < value_limit {
            place.error(
                &place.at.key("values_limit"),
                format!("expected at least value_limit = {value_limit}, found {values_limit}"),
                "raise values_limit, or lower value_limit",
            );
        }
    }
}

//! `network` of a chainlet: the hosts for HTTP requests, and the addresses for sockets.
//!
//! As in [`spec`](super::spec), the doc comments on the items of chain.toml are also the descriptions in the JSON
//! Schema.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::reader::{Expected, Node, Problems};
use super::row_type::{Count, RowType};
use super::table::{Table, table};
use crate::capability::http::HostRule;
use crate::capability::sockets::SocketRule;

table! {
    /// The network access of a chainlet. It reaches nothing that is not named here.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct NetworkAccess {
        /// The hosts to which the chainlet may send HTTP requests, for example
        /// `hosts = ["api.example.com", "*.example.org:8443", "10.0.0.0/8"]`. An entry is a name, `*.` and a name for all
        /// names below it, `*` for every public host, an address, or a range of addresses. An entry with a port permits
        /// only that port. Addresses that are not public must be named as addresses: a name that leads to one does not
        /// suffice, except `localhost`.
        pub hosts: Vec<HostRule> = Vec::new(), is "an array of hosts",
            like "hosts = [\"api.example.com\", \"*.example.org:8443\", \"10.0.0.0/8\"]";

        /// The addresses to which the chainlet may open TCP connections by `wasi:sockets`, for example
        /// `sockets = ["10.0.0.5:5432", "10.1.0.0/16:6379"]`.
        pub sockets: Vec<SocketRule> = Vec::new(), is "an array of addresses with ports",
            like "sockets = [\"10.0.0.5:5432\"]";

        /// The most HTTP requests that all replicas of the chainlet may have in flight together, for example
        /// `concurrency = 8`. Further requests wait.
        pub concurrency: u32 = 64, bounds Count::AtLeastOne("requests at once"), like "concurrency = 64";
    }
}

impl Table for NetworkAccess {
    const WHAT: &'static str = "a table of hosts";
}

/// The reason why a text is not a rule for the network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkRuleError {
    /// It is a URL rather than a host.
    #[error("this is a URL; its host alone is {host:?}")]
    Url {
        /// The text.
        found: String,
        /// Its host, with its port if it has one.
        host: String,
    },
    /// It is not a host.
    #[error("a host is a name, `*.` and a name, `*`, an address or a range of addresses")]
    Host(String),
    /// It is not an address with a port.
    #[error("an address of IPv6 stands in brackets, as in \"[fd00::1]:5432\", and names are not looked up")]
    Socket(String),
    /// Its port is not a number from 1 to 65535.
    #[error("no port from 1 to 65535 stands after the last colon")]
    Port(String),
}

/// Makes rules the types of keys, written as texts.
macro_rules! row_types {
    ($($Rule:ident: $what:literal;)+) => {$(
        impl Serialize for $Rule {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl RowType for $Rule {
            type Bounds = ();

            fn what((): &()) -> &'static str {
                $what
            }

            fn read(node: &Node<'_>, problems: &mut Problems<'_>, expected: Expected) -> Option<Self> {
                node.parsed(problems, expected, str::parse)
            }

            fn schema((): &(), _: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string" })
            }
        }
    )+};
}

row_types! {
    HostRule: "a host";
    SocketRule: "an address with a port";
}

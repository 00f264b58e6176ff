//! Streams through edges, over HTTP in both directions, and over WebSockets.

mod answers;
mod drops;
mod library;
mod lives;
mod sockets;
mod uploads;

/// A source of tokens behind two relays.
const RELAYED: &str = r#"
[chain]
name = "relayed"

[chainlets.outer]
component = "<guest_stream_relay>"
depends.next = { chainlet = "inner" }

[chainlets.inner]
component = "<guest_stream_relay>"
depends.next = { chainlet = "source" }

[chainlets.source]
component = "<guest_stream_source>"
"#;

/// Returns the chain of the one component `name`.
fn one(name: &str) -> String {
    format!("[chain]\nname = \"one\"\n[chainlets.only]\ncomponent = \"<{name}>\"\n")
}

const EVENTS: &str = "text/event-stream";
const LINES: &str = "application/x-ndjson";
const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

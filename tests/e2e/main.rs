//! End-to-end tests: the real program, real components, real HTTP. `tests/README.md` says how they are made and run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this is test code"
)]

mod harness;

mod answer;
mod bad_components;
mod bad_config;
mod bad_requests;
mod cache;
mod chaos;
mod chat;
mod cli;
mod client_certificates;
mod connections;
mod context;
mod contract;
mod credentials;
mod density;
mod dependencies;
mod edges;
mod edges_of_http;
mod embedding;
mod failures;
mod faults;
mod formats;
mod gpu;
mod half_closed;
mod health;
mod hello;
mod keyvalue;
mod limits;
mod log;
mod machine;
mod memory;
mod metrics;
mod net;
mod network;
mod new;
mod python;
mod reload;
mod replicas;
mod resources;
mod shutdown;
mod soak;
mod streams;
mod type_names;
mod values;

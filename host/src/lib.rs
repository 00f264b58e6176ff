pub mod capability;
pub mod chain;
pub mod chainlet;
pub mod component;
pub mod config;
mod engine;
pub mod error;
pub mod host;
pub mod value;

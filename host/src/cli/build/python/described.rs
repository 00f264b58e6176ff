//! What a file of Python declares, as `python -m chainlet.build describe --json` says it.

use std::path::Path;

use chainhost::config::ChainSpec;
use serde::Deserialize;
use toml::{Table, Value};

use super::tools::Mistake;
use crate::cli::{Exit, Failure};

/// The version of the format. The SDK and this program come from the same source, so they fit.
const FORMAT: u32 = 1;

/// A file.
#[derive(Debug, Deserialize)]
pub struct Description {
    format: u32,
    /// The name of the file as a word of WIT.
    pub name: String,
    /// The WIT of all its chainlets.
    pub wit: String,
    pub chainlets: Vec<Chainlet>,
    pub warnings: Vec<Mistake>,
}

/// A class that is a chainlet.
#[derive(Debug, Deserialize)]
pub struct Chainlet {
    /// The name by which its callers import it.
    name: String,
    pub class: String,
    /// It is the same as long as a component of live mode for the class is the same.
    pub key: String,
    dependencies: Vec<Dependency>,
    resources: Table,
    concurrency: Option<u32>,
    replicas: Option<Value>,
    secrets: Vec<String>,
    network: Vec<String>,
    stores: Vec<String>,
    config: Table,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    attempts: u32,
    idempotent: bool,
    timeout_ms: Option<u64>,
    concurrency: Option<u32>,
}

impl Description {
    /// Reads the output of the command.
    pub fn read(json: &[u8]) -> Result<Self, Failure> {
        let wrong = |error: &dyn std::fmt::Display| {
            Failure::new(Exit::Build, format_args!("the Python SDK is not the one of this chainhost: {error}"))
        };
        let description: Description = serde_json::from_slice(json).map_err(|error| wrong(&error))?;
        match description.format {
            FORMAT => Ok(description),
            other => Err(wrong(&format_args!("it writes the format {other}, and {FORMAT} is expected"))),
        }
    }
}

impl Chainlet {
    /// Writes what the class declares as keys of its table in chain.toml. `file` is the file of the class as `spec` names
    /// it, and `all` is the description of the file.
    pub fn to_toml(&self, spec: &ChainSpec, file: &Path, all: &Description) -> Result<String, Failure> {
        let mut table = Table::new();
        let mut add = |key: &str, value: Value| {
            let is_empty = match &value {
                Value::Array(elements) => elements.is_empty(),
                Value::Table(entries) => entries.is_empty(),
                _ => false,
            };
            if !is_empty {
                table.insert(key.to_owned(), value);
            }
        };
        add("resources", self.resources.clone().into());
        if let Some(concurrency) = self.concurrency {
            add("concurrency", i64::from(concurrency).into());
        }
        if let Some(replicas) = &self.replicas {
            add("replicas", replicas.clone());
        }
        add("assets", of_list("secrets", &self.secrets));
        add("network", of_list("hosts", &self.network));
        add("stores", self.stores.clone().into());
        add("config", self.config.clone().into());
        let depends = self.dependencies.iter().map(|dependency| {
            let callee = self.callee(dependency, spec, file, all)?;
            Ok((dependency.name.clone(), dependency.to_toml(callee)))
        });
        add("depends", Value::Table(depends.collect::<Result<_, Failure>>()?));
        let text = toml::to_string(&table)
            .map_err(|error| Failure::new(Exit::Build, format_args!("{}: {error}", self.class)))?;
        let file = file.display();
        Ok(format!(
            "# Derived from {file} by `chainhost build`. Change that file, or chain.toml, not this one.\n{text}"
        ))
    }

    /// Returns the chainlet of `spec` that `dependency` calls: the one of the same file and of the class that has this
    /// name. There is none if the dependency is not a class of this file; then the rules for names hold.
    fn callee<'s>(
        &self,
        dependency: &Dependency,
        spec: &'s ChainSpec,
        file: &Path,
        all: &Description,
    ) -> Result<Option<&'s str>, Failure> {
        let Some(callee) = all.chainlets.iter().find(|chainlet| chainlet.name == dependency.name) else {
            return Ok(None);
        };
        let is_callee = |(_, chainlet): &(&_, &chainhost::config::ChainletSpec)| {
            chainlet.python.as_ref().is_some_and(|source| source.file == file && source.class == callee.class)
        };
        if let Some((name, _)) = spec.chainlets.iter().find(is_callee) {
            return Ok(Some(name.as_str()));
        }
        if spec.chainlets.contains_key(dependency.name.as_str()) {
            return Ok(None);
        }
        let (name, file, class) = (&dependency.name, file.display(), &callee.class);
        Err(Failure::new(
            Exit::Config,
            format_args!(
                "{} depends on {class}, and chain.toml has no chainlet for it\n\
                 help: add it:\n\n[chainlets.{name}]\npython = \"{file}:{class}\"\n",
                self.class
            ),
        ))
    }
}

impl Dependency {
    fn to_toml(&self, callee: Option<&str>) -> Value {
        let mut table = Table::new();
        if let Some(callee) = callee {
            table.insert("chainlet".to_owned(), callee.into());
        }
        if self.attempts > 1 {
            table.insert("attempts".to_owned(), i64::from(self.attempts).into());
        }
        if self.idempotent {
            table.insert("idempotent".to_owned(), true.into());
        }
        if let Some(timeout) = self.timeout_ms {
            table.insert("timeout".to_owned(), format!("{timeout}ms").into());
        }
        if let Some(concurrency) = self.concurrency {
            table.insert("concurrency".to_owned(), i64::from(concurrency).into());
        }
        table.into()
    }
}

fn of_list(key: &str, elements: &[String]) -> Value {
    let mut table = Table::new();
    if !elements.is_empty() {
        table.insert(key.to_owned(), elements.to_vec().into());
    }
    table.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIPTION: &str = r#"{
        "format": 1, "file": "c.py", "name": "c", "entrypoint": "all", "wit": "package local:chain;", "warnings": [],
        "chainlets": [
            {"name": "say", "class": "Say", "key": "k1", "dependencies": [], "resources": {"memory": "64MiB"}, "concurrency": 8,
             "replicas": null, "secrets": ["key"], "network": ["example.com"], "stores": [], "config": {"a": [1, "b"]},
             "health": false},
            {"name": "all", "class": "All", "key": "k2", "resources": {}, "concurrency": null, "replicas": null, "secrets": [],
             "network": [], "stores": ["cache"], "config": {}, "health": true,
             "dependencies": [{"name": "say", "attempts": 2, "idempotent": true, "timeout_ms": 1500, "concurrency": 4}]}
        ]
    }"#;

    fn declared(class: &str, chainlets: &str) -> Result<String, Failure> {
        let spec = ChainSpec::from_toml(&format!("chain.name = \"c\"\n{chainlets}"), "x/chain.toml".as_ref()).unwrap();
        let all = Description::read(DESCRIPTION.as_bytes()).unwrap();
        all.chainlets.iter().find(|chainlet| chainlet.class == class).unwrap().to_toml(&spec, "c.py".as_ref(), &all)
    }

    #[test]
    fn a_class_declares_the_keys_of_its_table() {
        let text = declared("Say", "chainlets.say = { python = \"c.py:Say\" }").unwrap();
        assert!(text.starts_with("# Derived from c.py by `chainhost build`."), "{text}");
        let table: Table = text.parse().unwrap();
        let expected = "concurrency = 8\nresources.memory = \"64MiB\"\nassets.secrets = [\"key\"]\n\
                        network.hosts = [\"example.com\"]\nconfig.a = [1, \"b\"]\n";
        assert_eq!(table, expected.parse().unwrap());
    }

    #[test]
    fn a_dependency_is_the_chainlet_of_its_class_whatever_its_name() {
        let both = "chainlets.greeter = { python = \"c.py:Say\" }\nchainlets.all = { python = \"c.py:All\" }";
        let table: Table = declared("All", both).unwrap().parse().unwrap();
        let edge = "{ chainlet = \"greeter\", attempts = 2, idempotent = true, timeout = \"1500ms\", concurrency = 4 }";
        let expected = format!("stores = [\"cache\"]\ndepends.say = {edge}");
        assert_eq!(table, expected.parse().unwrap());

        let alone = "chainlets.all = { python = \"c.py:All\" }";
        let message = declared("All", alone).unwrap_err().to_string();
        assert!(message.contains("All depends on Say, and chain.toml has no chainlet for it"), "{message}");
        assert!(message.contains("[chainlets.say]\npython = \"c.py:Say\""), "{message}");
    }

    #[test]
    fn another_sdk_is_named() {
        for text in ["{}", &DESCRIPTION.replace("\"format\": 1", "\"format\": 2")] {
            let message = Description::read(text.as_bytes()).unwrap_err().to_string();
            assert!(message.starts_with("the Python SDK is not the one of this chainhost: "), "{message}");
        }
    }
}

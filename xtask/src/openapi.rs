//! `cargo xtask openapi`: tests the OpenAPI documents with tools of others.
//!
//! The examples are served one after the other. schemathesis makes requests from each document, and checks that the
//! answers fit it; linters read it; types for TypeScript and a client in Python are generated from it, and the client
//! makes a call.

mod node;
mod python;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::node::Node;
use self::python::Python;
use crate::cargo::{build_host, chainhost, forget_this_package, succeed, target_dir};
use crate::failure::Failure;
use crate::http;
use crate::served::Served;
use crate::step::{Steps, say};

/// The settings of the tools, relative to the top of the repository.
const SETTINGS: &str = "tests/openapi/tools";

/// An example that is served.
struct Example {
    name: &'static str,
    /// The number of requests that schemathesis makes up for each operation, in addition to those for each part of the
    /// schema.
    requests: u32,
    /// A replacement in its chain.toml.
    change: Option<(&'static str, &'static str)>,
}

const EXAMPLES: [Example; 3] = [
    Example { name: "hello", requests: 50, change: None },
    Example { name: "search", requests: 20, change: None },
    // Without the model's pauses, the test takes seconds.
    Example { name: "stream", requests: 20, change: Some(("pause = 40", "pause = 0")) },
];

/// Fetches the tools, and tests each example with them.
pub fn run(root: &Path) -> Result<(), Failure> {
    let mut steps = Steps::new(3 + EXAMPLES.len());
    let settings = root.join(SETTINGS);
    let python = steps.run("Fetch schemathesis and openapi-python-client", || Python::prepare(&settings))?;
    let node = steps.run("Fetch the linters and openapi-typescript", || Node::prepare(&settings, &python))?;
    steps.run("Build chainhost", || build_host(root))?;
    for example in EXAMPLES {
        steps.run(&format!("Test the documents of examples/{}", example.name), || {
            test(root, &example, &python, &node)
        })?;
    }
    steps.finish("The OpenAPI documents are as the tools want them.");
    Ok(())
}

fn test(root: &Path, example: &Example, python: &Python, node: &Node) -> Result<(), Failure> {
    let folder = target_dir(root).join("openapi").join(example.name);
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
    }
    fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
    let chain = chain(root, example, &folder)?;
    let program = chainhost(root);
    let mut build = Command::new(&program);
    forget_this_package(&mut build);
    succeed(build.current_dir(root).arg("build").arg(format!("examples/{}/chain.toml", example.name)))?;
    let served = Served::start_with_admin(Command::new(&program).current_dir(root).arg("serve").arg(&chain))?;
    let public = format!("http://{}", served.address());
    for (name, address) in [("public", Some(served.address())), ("admin", served.admin())] {
        let Some(address) = address else {
            return Err(Failure::new("the chain does not say where its admin listener is", "look at its log above"));
        };
        let answer = http::get(address, "/openapi.json")?;
        if answer.status != 200 {
            return Err(Failure::new(
                format_args!("the {name} listener has no document: {} {}", answer.status, answer.body),
                "look at the log of the chain above",
            ));
        }
        let document = folder.join(format!("{name}.json"));
        fs::write(&document, answer.body).map_err(|error| unwritable(&document, &error))?;
        node.lint(&document)?;
        node.types(&document)?;
        python.test(&format!("http://{address}"), example.requests, &folder)?;
    }
    if example.name == "hello" {
        python.call(&folder.join("public.json"), &folder.join("client"), &public)?;
    }
    say("all of them are content");
    served.stop()
}

/// Returns the chain.toml that is served: the example's own, or a changed copy in `folder`.
fn chain(root: &Path, example: &Example, folder: &Path) -> Result<PathBuf, Failure> {
    let own = root.join("examples").join(example.name);
    let file = own.join("chain.toml");
    let Some((from, to)) = example.change else { return Ok(file) };
    let text = fs::read_to_string(&file).map_err(|error| unwritable(&file, &error))?;
    if !text.contains(from) {
        return Err(Failure::new(
            format_args!("{} has no `{from}` to change", file.display()),
            "change xtask/src/openapi.rs with it",
        ));
    }
    // Paths in the file are relative to its folder, so they are changed for the copy.
    let up = format!("\"{}/", root.display());
    let text = text.replace(from, to).replace("\"../../", &up).replace("\"../", &format!("{up}examples/"));
    let copy = folder.join("chain.toml");
    fs::write(&copy, text).map_err(|error| unwritable(&copy, &error))?;
    Ok(copy)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format_args!("{}: {error}", path.display()), "look whether it is there, and whether the disk has room")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    #[test]
    fn each_example_exists_and_its_change_applies() {
        let folder = std::env::temp_dir().join(format!("xtask-openapi-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for example in EXAMPLES {
            let chain = chain(&root(), &example, &folder).unwrap();
            let text = fs::read_to_string(chain).unwrap();
            assert_eq!(example.change.is_some(), !text.contains("\"../"), "{}", example.name);
            if let Some((from, to)) = example.change {
                assert!(text.contains(to) && !text.contains(from), "{text}");
            }
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}

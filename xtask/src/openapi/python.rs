//! The tools in Python: schemathesis, which makes requests from a document, and openapi-python-client, which makes a
//! client.

use std::path::{Path, PathBuf};

use crate::cache;
use crate::cargo::succeed;
use crate::environment::Environment;
use crate::failure::Failure;

/// A virtual environment with the tools.
pub struct Python {
    environment: Environment,
    settings: PathBuf,
}

impl Python {
    /// Makes the environment in the cache, unless it is there.
    ///
    /// # Errors
    /// Fails without Python, or if PyPI cannot be reached.
    pub fn prepare(settings: &Path) -> Result<Self, Failure> {
        let folder = cache::folder("openapi")?.join("python");
        let environment = Environment::prepare(&folder, &settings.join("requirements.txt"))?;
        Ok(Python { environment, settings: settings.to_owned() })
    }

    /// Installs one more package, at a version, and returns the folder of its programs.
    pub fn add(&self, package: &str) -> Result<&Path, Failure> {
        self.environment.add(package)?;
        Ok(self.environment.programs())
    }

    /// Tests the server at `url` with schemathesis and the server's own document. `folder` gets the files that
    /// schemathesis keeps for the next run.
    pub fn test(&self, url: &str, requests: u32, folder: &Path) -> Result<(), Failure> {
        let mut command = self.environment.program("schemathesis");
        command
            .current_dir(folder)
            .env("SCHEMATHESIS_HOOKS", self.settings.join("hooks.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg("--config-file")
            .arg(self.settings.join("schemathesis.toml"))
            .args(["run", "--checks", "all", "--max-examples", &requests.to_string()])
            .arg(format!("{url}/openapi.json"));
        succeed(&mut command)
    }

    /// Makes a client for `document` in `folder`, and calls the chain at `url` with it.
    pub fn call(&self, document: &Path, folder: &Path, url: &str) -> Result<(), Failure> {
        succeed(
            self.environment
                .program("openapi-python-client")
                .args(["generate", "--meta", "none"])
                .arg("--path")
                .arg(document)
                .arg("--output-path")
                .arg(folder.join("hello_client"))
                .arg("--config")
                .arg(self.settings.join("generator.yaml")),
        )?;
        succeed(self.environment.program("python").arg(self.settings.join("call.py")).arg(folder).arg(url))
    }
}

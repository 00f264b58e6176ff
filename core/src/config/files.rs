//! Checks that the files that a spec names exist. This is a late step, because a build may make the files.

use std::path::Path;

use super::chainlet::ChainletSpec;
use super::component::ComponentSource;
use super::error::{ConfigError, ConfigErrors};
use super::key::KeyPath;
use super::spec::ChainSpec;

impl ChainSpec {
    /// Checks that the component of every chainlet and the source of every mount exist now. A data folder may be
    /// missing, because it is made at the start.
    ///
    /// # Errors
    /// Fails if a file or folder is missing or of the wrong kind. The errors name all of them, and say how to make
    /// each.
    pub fn check_files(&self) -> Result<(), ConfigErrors> {
        let mut errors = Vec::new();
        for (name, chainlet) in &self.chainlets {
            let at = KeyPath::from(["chainlets"]).key(name);
            errors.extend(self.check_component(&at, chainlet));
            for (index, mount) in chainlet.assets.files.iter().enumerate() {
                let at = at.key("assets").key("files").index(index).key("source");
                errors.extend(self.check_mounted(&at, &mount.source));
            }
            if let Some(data) = &chainlet.assets.data {
                errors.extend(self.check_data(&at.key("assets").key("data"), data));
            }
        }
        ConfigErrors::check(errors)
    }

    /// Checks that the folder of every build command exists.
    ///
    /// # Errors
    /// Fails if a folder is missing. The errors name all of them.
    pub fn check_build_folders(&self) -> Result<(), ConfigErrors> {
        let mut errors = Vec::new();
        for (name, chainlet) in &self.chainlets {
            let Some(build) = &chainlet.build else { continue };
            let folder = self.resolve(&build.workdir);
            if !folder.is_dir() {
                let at = self.at(["chainlets", name.as_str(), "build", "workdir"]);
                let message = format!("expected a folder, found none at {}", folder.display());
                errors.push(ConfigError::new(at, message, "correct the path, which is relative to chain.toml"));
            }
        }
        ConfigErrors::check(errors)
    }

    fn check_component(&self, at: &KeyPath, chainlet: &ChainletSpec) -> Option<ConfigError> {
        let ComponentSource::File(path) = &chainlet.component else { return None };
        let path = self.resolve(path);
        let (message, help) = match path.metadata() {
            Ok(metadata) if metadata.is_file() => return None,
            Ok(metadata) if metadata.is_dir() => (
                format!("expected a component file, found a folder at {}", path.display()),
                "name the .wasm file in it".to_owned(),
            ),
            Ok(_) => (
                format!("expected a component file, found a FIFO, a socket or a device at {}", path.display()),
                "name a regular file".to_owned(),
            ),
            Err(error) => (
                format!("cannot find the component file {}: {error}", path.display()),
                match chainlet.build.is_some() || chainlet.python.is_some() {
                    true => "run `chainhost build` first, or serve with --build, to make it".to_owned(),
                    false => "correct the path, which is relative to chain.toml, or add a build command".to_owned(),
                },
            ),
        };
        Some(ConfigError::new(self.at(at.key("component")), message, help))
    }

    fn check_data(&self, at: &KeyPath, data: &Path) -> Option<ConfigError> {
        let path = self.resolve(data);
        let message = match path.metadata() {
            Ok(metadata) if metadata.is_dir() => return None,
            Ok(_) => format!("expected a folder, found a file at {}", path.display()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => format!("cannot use the folder {}: {error}", path.display()),
        };
        Some(ConfigError::new(self.at(at), message, "name a folder, or one to be made"))
    }

    fn check_mounted(&self, at: &KeyPath, source: &Path) -> Option<ConfigError> {
        let path = self.resolve(source);
        let (message, help) = match path.metadata() {
            Ok(metadata) if metadata.is_dir() => return None,
            Ok(_) => (
                format!("expected a folder, found a file at {}", path.display()),
                "name the folder that it is in; the chainlet sees everything in that folder at `path`",
            ),
            Err(error) => (
                format!("cannot find the folder {}: {error}", path.display()),
                "make it, or correct the path, which is relative to chain.toml",
            ),
        };
        Some(ConfigError::new(self.at(at), message, help))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[chain]
name = "c"
[chainlets.built]
component = "target/built.wasm"
build = "make"
[chainlets.given]
component = "given.wasm"
assets.files = [{ source = "models", path = "/models" }]
"#;

    fn spec(folder: &Path) -> ChainSpec {
        ChainSpec::from_toml(TEXT, &folder.join("chain.toml")).unwrap()
    }

    #[test]
    fn every_missing_file_is_named_with_its_place_and_how_to_make_it() {
        let folder = tempfile::tempdir().unwrap();
        let errors = spec(folder.path()).check_files().unwrap_err();
        let lines: Vec<_> = errors.iter().map(|error| error.location().line()).collect();
        assert_eq!(lines, [Some(5), Some(8), Some(9)]);
        let helps: Vec<_> = errors.iter().map(ConfigError::help).collect();
        assert!(helps[0].contains("chainhost build"), "{errors}");
        assert!(!helps[1].contains("chainhost build"), "{errors}");
        assert!(errors.to_string().contains(&folder.path().join("given.wasm").display().to_string()), "{errors}");
    }

    #[test]
    fn a_folder_is_not_a_component() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["target/built.wasm", "given.wasm", "models"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let errors = spec(folder.path()).check_files().unwrap_err();
        assert_eq!(errors.iter().count(), 2);
        assert!(errors.to_string().contains("found a folder"), "{errors}");
    }

    #[test]
    fn files_that_are_there_are_no_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("target")).unwrap();
        std::fs::create_dir(folder.path().join("models")).unwrap();
        for name in ["target/built.wasm", "given.wasm"] {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        spec(folder.path()).check_files().unwrap();
        std::fs::remove_dir(folder.path().join("models")).unwrap();
        std::fs::write(folder.path().join("models"), b"x").unwrap();
        let errors = spec(folder.path()).check_files().unwrap_err();
        assert!(errors.to_string().contains("expected a folder, found a file"), "{errors}");
    }

    #[test]
    fn a_data_folder_may_be_missing_and_may_not_be_a_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), b"x").unwrap();
        let check = |data: &str| {
            let chainlet = ChainletSpec::builder(vec![0u8]).data(folder.path().join(data));
            ChainSpec::builder("c").chainlet("a", chainlet).build().unwrap().check_files()
        };
        check("to-be-made/later").unwrap();
        for data in ["file", "file/below"] {
            let errors = check(data).unwrap_err().to_string();
            assert!(errors.starts_with("chainlets.a.assets.data: "), "{errors}");
        }
    }

    #[test]
    fn a_component_in_memory_needs_no_file() {
        let spec = ChainSpec::builder("c").chainlet("a", ChainletSpec::builder(vec![0u8])).build().unwrap();
        spec.check_files().unwrap();
    }

    #[test]
    fn the_folder_of_a_build_command_has_to_be_there() {
        let text = TEXT.replace("\"make\"", "{ command = \"make\", workdir = \"no-such\" }");
        let spec = ChainSpec::from_toml(&text, Path::new("/tmp/chain.toml")).unwrap();
        let errors = spec.check_build_folders().unwrap_err();
        assert!(errors.to_string().starts_with("/tmp/chain.toml:6:39: chainlets.built.build.workdir: "), "{errors}");
    }
}

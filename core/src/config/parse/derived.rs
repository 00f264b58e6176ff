//! Adds to a chain.toml what the sources of its chainlets declare.
//!
//! `chainhost build` writes it for each chainlet with `python` to a file `build/NAME.toml`, which has keys of
//! `[chainlets.NAME]`. The keys in chain.toml come first, also inside of tables, because an operator may set what the
//! author did not foresee. Errors about added keys point at `python`.

use std::io;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::error::{ConfigError, ConfigErrors};
use super::super::location::Location;
use super::super::name::ChainletName;
use super::super::source::Source;
use super::syntax;
use crate::bounded_file;

/// The key of a chainlet that names its source.
const SOURCE: &str = "python";

/// The declarations of a chain's sources, with the names of their chainlets.
#[derive(Default)]
pub(super) struct Declarations(Vec<(ChainletName, String)>);

impl Declarations {
    /// Reads those of the chainlets in `document`, a chain.toml in `folder`. There are none before the first build.
    pub(super) fn read(document: &DeTable<'_>, folder: &Path) -> Result<Self, ConfigErrors> {
        let mut declarations = Vec::new();
        for name in with_source(document) {
            let path = folder.join(name.derived("toml"));
            match bounded_file::read(&path, bounded_file::TEXT) {
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let source = Source::new(&path, &text);
                    let (table, errors) = DeTable::parse_recoverable(&text);
                    ConfigErrors::check(syntax::errors(&source, &text, table.get_ref(), &errors))?;
                    drop(table);
                    declarations.push((name, text));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let help = "remove it, and run `chainhost build` again";
                    return Err(
                        ConfigError::of_file(Location::in_file(&path), "cannot read the file", &error, help).into()
                    );
                }
            }
        }
        Ok(Declarations(declarations))
    }

    /// Adds them to `document`, and for each chainlet with a source the path of the component that is made of it.
    pub(super) fn add_to<'a>(&'a self, document: &mut DeTable<'a>) {
        for name in with_source(document) {
            let Some(chainlet) = chainlet(document, name.as_str()) else { continue };
            let Some(span) = chainlet.get(SOURCE).map(Spanned::span) else { continue };
            if let Some((_, text)) = self.0.iter().find(|(declared, _)| *declared == name) {
                let (declared, _) = DeTable::parse_recoverable(text);
                add(chainlet, declared.into_inner(), &span);
            }
            if !chainlet.contains_key("component") {
                let path = DeValue::String(name.derived("wasm").into());
                chainlet.insert(Spanned::new(span.clone(), "component".into()), Spanned::new(span, path));
            }
        }
    }
}

/// Returns the names of the chainlets that have a source. Leaves out wrong names, about which the reader complains.
fn with_source(document: &DeTable<'_>) -> Vec<ChainletName> {
    let chainlets = match document.get("chainlets").map(Spanned::get_ref) {
        Some(DeValue::Table(chainlets)) => chainlets,
        _ => return Vec::new(),
    };
    let names = chainlets.iter().filter(|(_, chainlet)| match chainlet.get_ref() {
        DeValue::Table(chainlet) => chainlet.contains_key(SOURCE),
        _ => false,
    });
    names.filter_map(|(name, _)| name.get_ref().parse().ok()).collect()
}

fn chainlet<'d, 'a>(document: &'d mut DeTable<'a>, name: &str) -> Option<&'d mut DeTable<'a>> {
    match document.get_mut("chainlets")?.get_mut() {
        DeValue::Table(chainlets) => match chainlets.get_mut(name)?.get_mut() {
            DeValue::Table(chainlet) => Some(chainlet),
            _ => None,
        },
        _ => None,
    }
}

/// Adds the keys of `declared` that `table` lacks, at the position `span`.
fn add<'a>(table: &mut DeTable<'a>, declared: DeTable<'a>, span: &Range<usize>) {
    for (key, value) in declared {
        match table.get_mut(&**key.get_ref()).map(Spanned::get_mut) {
            None => {
                let key = Spanned::new(span.clone(), key.into_inner());
                table.insert(key, moved(value, span));
            }
            Some(DeValue::Table(inner)) => {
                if let DeValue::Table(declared) = value.into_inner() {
                    add(inner, declared, span);
                }
            }
            Some(_) => {}
        }
    }
}

/// Returns `value` with the position `span` for it and all in it.
fn moved<'a>(value: Spanned<DeValue<'a>>, span: &Range<usize>) -> Spanned<DeValue<'a>> {
    let value = match value.into_inner() {
        DeValue::Table(declared) => {
            let mut table = DeTable::new();
            add(&mut table, declared, span);
            DeValue::Table(table)
        }
        DeValue::Array(elements) => DeValue::Array(elements.into_iter().map(|element| moved(element, span)).collect()),
        other => other,
    };
    Spanned::new(span.clone(), value)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::spec::ChainSpec;

    const CHAIN: &str = r#"
        chain.name = "c"
        [chainlets.say-hello]
        python = "chain.py:SayHello"
        concurrency = 2
        depends.words = { timeout = "1s" }
    "#;

    /// Reads [`CHAIN`] in a folder in which the build has written `declared`.
    fn read(declared: Option<&str>) -> Result<ChainSpec, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chain.toml");
        std::fs::write(&file, CHAIN).unwrap();
        if let Some(declared) = declared {
            std::fs::create_dir(folder.path().join("build")).unwrap();
            std::fs::write(folder.path().join("build/say-hello.toml"), declared).unwrap();
        }
        ChainSpec::from_file(&file).map_err(|error| error.to_string().replace(folder.path().to_str().unwrap(), "…"))
    }

    #[test]
    fn what_the_source_declares_is_added_and_chain_toml_wins() {
        let spec = read(Some(
            "concurrency = 64\nqueue = 7\nassets.secrets = [\"key\"]\n\
             depends.words = { timeout = \"9s\", attempts = 3, idempotent = true }\n",
        ))
        .unwrap();
        let chainlet = &spec.chainlets["say-hello"];
        assert_eq!((chainlet.concurrency, chainlet.queue), (2, 7));
        assert_eq!(chainlet.component.to_string(), "build/say-hello.wasm");
        assert_eq!(chainlet.assets.secrets[0].as_str(), "key");
        let words = &chainlet.depends["words"];
        assert_eq!((words.timeout, words.attempts), (Some(Duration::from_secs(1)), 3));
    }

    #[test]
    fn a_chain_can_be_read_before_its_first_build() {
        let spec = read(None).unwrap();
        assert_eq!(spec.chainlets["say-hello"].python.as_ref().unwrap().to_string(), "chain.py:SayHello");
        assert_eq!(spec.chainlets["say-hello"].component.to_string(), "build/say-hello.wasm");
    }

    #[test]
    fn a_mistake_in_a_declaration_points_at_the_source() {
        let error = read(Some("grace = 5\n")).unwrap_err();
        assert!(error.starts_with("…/chain.toml:4:18: chainlets.say-hello.grace: expected "), "{error}");
        let error = read(Some("replicas = \n")).unwrap_err();
        assert!(error.starts_with("…/build/say-hello.toml:1:12: replicas: expected a value"), "{error}");
    }
}

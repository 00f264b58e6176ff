//! Does the same as `relay`, through plain functions on both sides.

#[derive(Default)]
struct RelaySync;

#[chainlet::chainlet]
impl RelaySync {
    fn run_remote(&self, what: String) -> chainlet::Result<String> {
        Ok(match what.strip_prefix("other:") {
            Some(what) => other::run_remote(what)?,
            None => next::run_remote(&what)?,
        })
    }
}

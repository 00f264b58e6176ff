//! Passes its request on to a chainlet that returns errors; see its WIT.

use chainlet::{CallError, Error};

#[derive(Default)]
struct RefuserRelay;

#[chainlet::chainlet]
impl RefuserRelay {
    async fn run_remote(&self, what: String) -> chainlet::Result<String> {
        let Some(what) = what.strip_prefix("own:") else { return Ok(next::run_remote(what).await?) };
        match next::run_remote(what.to_owned()).await {
            Err(CallError::Declared { error, .. }) => Err(Error::conflict(format!("because {}", error.message))),
            answer => Ok(answer?),
        }
    }
}

//! Passes its request on to one or both of two dependencies of the same type.

use chainlet::try_join;

#[derive(Default)]
struct Relay;

#[chainlet::chainlet]
impl Relay {
    async fn run_remote(&self, what: String) -> chainlet::Result<String> {
        if let Some(what) = what.strip_prefix("other:") {
            return Ok(other::run_remote(what.to_owned()).await?);
        }
        if let Some(what) = what.strip_prefix("both:") {
            let (first, second) =
                try_join(next::run_remote(what.to_owned()), other::run_remote(what.to_owned())).await?;
            return Ok(format!("{first}+{second}"));
        }
        Ok(next::run_remote(what).await?)
    }
}

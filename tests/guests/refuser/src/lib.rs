//! Returns the standard error, in every kind; see its WIT.

use std::cell::Cell;

use chainlet::{Error, ErrorKind};
use serde_json::json;

#[derive(Default)]
struct Refuser {
    calls: Cell<u32>,
}

#[chainlet::chainlet]
impl Refuser {
    async fn run_remote(&self, what: String) -> chainlet::Result<String> {
        self.calls.set(self.calls.get() + 1);
        let (word, argument) = what.split_once(':').unwrap_or((&what, ""));
        let kind = match word {
            "calls" => return Ok(self.calls.get().to_string()),
            "flaky" => {
                let count: u32 = argument.parse()?;
                if self.calls.get() > count {
                    return Ok(self.calls.get().to_string());
                }
                return Err(Error::new(ErrorKind::Unavailable, "come again").repeatable(true));
            }
            "invalid" => ErrorKind::Invalid,
            "unauthenticated" => ErrorKind::Unauthenticated,
            "forbidden" => ErrorKind::Forbidden,
            "not-found" => ErrorKind::NotFound,
            "conflict" => ErrorKind::Conflict,
            "unprocessable" => ErrorKind::Unprocessable,
            "too-many" => ErrorKind::TooMany,
            "internal" => ErrorKind::Internal,
            "unimplemented" => ErrorKind::Unimplemented,
            "upstream" => ErrorKind::Upstream,
            "unavailable" => ErrorKind::Unavailable,
            "timeout" => ErrorKind::Timeout,
            _ => return Err(format!("refuser knows no `{word}`").into()),
        };
        Err(Error::new(kind, format!("it is {word}")).with_details(json!({ "word": word })))
    }
}

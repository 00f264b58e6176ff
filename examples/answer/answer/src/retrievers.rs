//! Gets the passages for a question, from all retrievers at once.

use answer_parts::{Found, Passage, merge};
use chainlet::{Error, Result, join, log};

use crate::wit::{Hit, index, keywords};

/// Returns the best passages of the retrievers that answered, and the names of those that failed. Fails if all of them
/// fail.
pub async fn gather(question: &str, limit: u32) -> Result<(Vec<Found>, Vec<String>)> {
    let (by_index, by_keywords) =
        join(index::run_remote(question.to_owned(), limit), keywords::run_remote(question.to_owned(), limit)).await;
    let (mut lists, mut without) = (Vec::new(), Vec::new());
    for (name, hits) in [("index", by_index), ("keywords", by_keywords)] {
        match hits.map_err(Error::from) {
            Ok(hits) => lists.push((name.to_owned(), hits.into_iter().map(passage).collect())),
            Err(error) => {
                log::warn!("the answer goes on without {name}: {}", error.message());
                without.push(name.to_owned());
            }
        }
    }
    if lists.is_empty() {
        return Err(Error::unavailable("no retriever answers"));
    }
    Ok((merge(lists, limit as usize), without))
}

fn passage(hit: Hit) -> Passage {
    let crate::wit::Passage { document, position, text } = hit.passage;
    Passage { document, position, text }
}

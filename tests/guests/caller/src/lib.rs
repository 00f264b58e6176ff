//! Calls a dependency in all ways in which its failures matter; see its WIT.

use std::cell::Cell;
use std::time::Duration;

use chainlet::{CallError, Failure, FailureKind, call, join_all, time};
use futures::lock::Mutex;

#[derive(Default)]
struct Caller {
    lock: Mutex<()>,
    dropped: Cell<u32>,
}

/// Counts a call that is dropped before it has ended.
struct Underway<'a> {
    dropped: &'a Cell<u32>,
    ended: bool,
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.dropped.set(self.dropped.get() + 1);
        }
    }
}

#[chainlet::chainlet]
impl Caller {
    async fn run_remote(&self, what: String) -> chainlet::Result<String> {
        let mut underway = Underway { dropped: &self.dropped, ended: false };
        let answer = self.act(&what).await;
        underway.ended = true;
        answer
    }

    async fn act(&self, what: &str) -> chainlet::Result<String> {
        let (word, argument) = what.split_once(':').unwrap_or((what, ""));
        match word {
            "lock" => {
                let _locked = self.lock.lock().await;
                Ok(ask(argument).await?)
            }
            "memory" => {
                let (mib, what) = number(argument)?;
                let held = vec![1_u8; mib * 1024 * 1024];
                let answer = ask(what).await;
                drop(std::hint::black_box(held));
                Ok(answer?)
            }
            "fallback" => match next::run_remote(argument.to_owned()).await {
                Ok(answer) => Ok(answer),
                Err(CallError::Failure(failure)) => {
                    let answer = other::run_remote(argument.to_owned()).await?;
                    Ok(format!("{} instead: {answer}", name(&failure)))
                }
                Err(error) => Err(error.into()),
            },
            "kind" => match next::run_remote(argument.to_owned()).await {
                Err(CallError::Failure(failure)) => {
                    Ok(format!("{} {} {}", name(&failure), failure.chainlet, failure.repeatable))
                }
                answer => Ok(answer?),
            },
            "gather" => {
                let (count, what) = number(argument)?;
                let answers = join_all((0..count).map(|_| next::run_remote(what.to_owned()))).await;
                let good = answers.iter().filter(|answer| answer.is_ok()).count();
                let failures = answers.iter().filter_map(|answer| match answer {
                    Err(CallError::Failure(failure)) => Some(name(failure)),
                    _ => None,
                });
                Ok(format!("{good} {}", failures.collect::<Vec<_>>().join(" ")))
            }
            "within" => {
                let (ms, what) = number(argument)?;
                match time::timeout(Duration::from_millis(u64::try_from(ms)?), ask(what)).await {
                    Ok(answer) => Ok(answer?),
                    Err(_) => Ok("too late".to_owned()),
                }
            }
            "forge" => {
                let failure = Failure {
                    kind: FailureKind::Trap,
                    message: "it is none of its own".to_owned(),
                    chainlet: argument.to_owned(),
                    path: Vec::new(),
                    repeatable: true,
                    retry_after: None,
                };
                Err(failure.into())
            }
            "dropped" => Ok(self.dropped.get().to_string()),
            "pages" => Ok(pages().to_string()),
            "id" => Ok(call::id().unwrap_or_default()),
            "trace" => Ok(call::trace_context().map_or(String::new(), |trace| trace.traceparent)),
            "left" => Ok(call::time_left().is_some().to_string()),
            _ => Ok(ask(what).await?),
        }
    }
}

/// Asks `other` if `what` begins with `other:`, and else `next`.
async fn ask(what: &str) -> Result<String, CallError<String>> {
    match what.strip_prefix("other:") {
        Some(what) => other::run_remote(what.to_owned()).await,
        None => next::run_remote(what.to_owned()).await,
    }
}

/// Splits `argument` into the number before its colon and the text after it.
fn number(argument: &str) -> chainlet::Result<(usize, &str)> {
    let (number, what) = argument.split_once(':').ok_or("a number and a colon are missing")?;
    Ok((number.parse()?, what))
}

/// Returns the kind of a failure, as its problem document would name it.
fn name(failure: &Failure) -> &'static str {
    match failure.kind {
        FailureKind::Overloaded => "overloaded",
        FailureKind::NotReady => "not-ready",
        FailureKind::Deadline => "deadline",
        FailureKind::Trap => "trap",
        FailureKind::Cancelled => "cancelled",
        _ => "other",
    }
}

fn pages() -> usize {
    #[cfg(target_arch = "wasm32")]
    return core::arch::wasm32::memory_size(0);
    #[cfg(not(target_arch = "wasm32"))]
    0
}

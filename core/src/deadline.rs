//! When a call ends at the latest, and which limit says so.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::ChainletName;
use crate::error::{CallError, EdgeName, ErrorKind};

/// The longest time by which a call ends before the call of its caller.
const MARGIN: Duration = Duration::from_millis(50);

/// Returns the moment `time` after `begun`. If the clock cannot count so far, it returns a moment in 30 years.
///
/// Durations come from chain.toml, options and embedders, and `begun + time` panics if the sum is too large.
pub fn moment_after(begun: Instant, time: Duration) -> Instant {
    begun.checked_add(time).unwrap_or_else(|| begun + Duration::from_hours(30 * 365 * 24))
}

/// A moment after which nobody waits any more, with the limit that sets it. What a call calls has the deadline of that
/// call, so a failure far down the chain still names the limit.
#[derive(Debug, Clone)]
pub struct Deadline {
    /// The moment.
    pub at: Instant,
    /// The length of the limit.
    time: Duration,
    limit: TimeLimit,
}

/// A limit to the time of a call, by who sets it.
#[derive(Debug, Clone)]
pub enum TimeLimit {
    /// The client, by the header `x-request-timeout` of its request.
    Header,
    /// The server, by `--timeout` or `HttpOptions::request_timeout`.
    Server,
    /// Whoever calls without HTTP, by [`CallOptions::timeout`](crate::chain::CallOptions::timeout).
    Options,
    /// An edge's `timeout`.
    Edge(Arc<EdgeName>),
    /// An edge's `first_item_timeout`.
    FirstItem(Arc<EdgeName>),
    /// The host, for a call through an edge without a timeout, if the guest makes it in work that belongs to no call, such
    /// as that of the SDK's `spawn`.
    Background(Arc<EdgeName>),
}

impl Deadline {
    /// `time` after `begun`.
    pub fn after(begun: Instant, time: Duration, limit: TimeLimit) -> Self {
        Deadline { at: moment_after(begun, time), time, limit }
    }

    /// The deadline of a call that is made on behalf of one with this deadline: somewhat sooner, so that the failure of
    /// the slow chainlet comes up the chain, and names it, before every chainlet above runs out of time itself.
    pub fn sooner(self, now: Instant) -> Self {
        Deadline { at: self.at - (self.at.saturating_duration_since(now) / 20).min(MARGIN), ..self }
    }

    /// The name under which the limit is set.
    fn key(&self) -> Cow<'static, str> {
        match &self.limit {
            TimeLimit::Header => "x-request-timeout".into(),
            TimeLimit::Server => "--timeout".into(),
            TimeLimit::Options => "timeout".into(),
            TimeLimit::Edge(edge) | TimeLimit::Background(edge) => edge.key("timeout").into(),
            TimeLimit::FirstItem(edge) => edge.key("first_item_timeout").into(),
        }
    }

    /// The failure of a call that `callee` did not answer before the deadline.
    pub fn missed(&self, callee: &ChainletName) -> CallError {
        self.failure(callee, format_args!("no answer before the deadline: {self}"))
    }

    /// The failure of a call whose streams went on until the deadline.
    pub fn missed_by_streams(&self, callee: &ChainletName) -> CallError {
        self.failure(callee, format_args!("its stream had not come to an end before the deadline: {self}"))
    }

    /// The failure of a call of `callee` whose caller did not send all parameters before the deadline.
    pub fn missed_by_params(&self, callee: &ChainletName) -> CallError {
        self.failure(callee, format_args!("the parameters were not here before the deadline: {self}"))
    }

    fn failure(&self, callee: &ChainletName, message: impl fmt::Display) -> CallError {
        CallError::new(ErrorKind::Deadline, callee, message).limited_by(self.key())
    }
}

/// The limit and its value, in words that follow a colon.
impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, time) = (self.key(), humantime::format_duration(self.time));
        match &self.limit {
            TimeLimit::Header => write!(f, "the header {key} of the request is {time}"),
            TimeLimit::Server => write!(f, "the server's {key} is {time}"),
            TimeLimit::Options => write!(f, "the {key} of the call is {time}"),
            TimeLimit::Edge(_) | TimeLimit::FirstItem(_) => write!(f, "{key} in chain.toml is {time}"),
            TimeLimit::Background(_) => {
                write!(f, "a call that a guest makes for no call of its own has {time}, unless chain.toml sets {key}")
            }
        }
    }
}

/// The earlier of two deadlines, where none is never.
pub fn earlier(one: Option<Deadline>, other: Option<Deadline>) -> Option<Deadline> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.at < one.at { other } else { one }),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge() -> Arc<EdgeName> {
        let name = |name: &str| name.parse().unwrap();
        Arc::new(EdgeName { from: name("rank"), dependency: "store".parse().unwrap(), to: name("index") })
    }

    #[test]
    fn a_missed_deadline_names_its_limit_and_the_limits_value() {
        let edge = edge();
        for (limit, words, key) in [
            (TimeLimit::Header, "the header x-request-timeout of the request is 2s 500ms", "x-request-timeout"),
            (TimeLimit::Server, "the server's --timeout is 2s 500ms", "--timeout"),
            (TimeLimit::Options, "the timeout of the call is 2s 500ms", "timeout"),
            (
                TimeLimit::Edge(edge.clone()),
                "chainlets.rank.depends.store.timeout in chain.toml is 2s 500ms",
                "chainlets.rank.depends.store.timeout",
            ),
            (
                TimeLimit::FirstItem(edge.clone()),
                "chainlets.rank.depends.store.first_item_timeout in chain.toml is 2s 500ms",
                "chainlets.rank.depends.store.first_item_timeout",
            ),
            (
                TimeLimit::Background(edge),
                "a call that a guest makes for no call of its own has 2s 500ms, unless chain.toml sets \
                 chainlets.rank.depends.store.timeout",
                "chainlets.rank.depends.store.timeout",
            ),
        ] {
            let deadline = Deadline::after(Instant::now(), Duration::from_millis(2500), limit);
            let error = deadline.missed(&"index".parse().unwrap());
            assert_eq!(error.message(), format!("no answer before the deadline: {words}"));
            assert_eq!((error.kind(), error.limit()), (ErrorKind::Deadline, Some(key)));
        }
    }

    #[test]
    fn a_duration_beyond_the_clock_gives_a_moment_far_away() {
        let now = Instant::now();
        assert_eq!(moment_after(now, Duration::from_secs(2)), now + Duration::from_secs(2));
        let far = Deadline::after(now, Duration::MAX, TimeLimit::Options);
        assert!(far.at > now + Duration::from_hours(24 * 365));
    }

    #[test]
    fn of_two_deadlines_the_earlier_one_counts_with_its_limit() {
        let now = Instant::now();
        let of = |seconds, limit| Some(Deadline::after(now, Duration::from_secs(seconds), limit));
        let first = |one, other| earlier(one, other).map(|deadline| deadline.key().into_owned());
        let key = "chainlets.rank.depends.store.timeout";
        assert_eq!(first(of(2, TimeLimit::Server), of(1, TimeLimit::Edge(edge()))).as_deref(), Some(key));
        assert_eq!(first(of(1, TimeLimit::Server), of(2, TimeLimit::Edge(edge()))).as_deref(), Some("--timeout"));
        assert_eq!(first(None, of(2, TimeLimit::Header)).as_deref(), Some("x-request-timeout"));
        assert_eq!(first(None, None), None);
    }

    #[test]
    fn what_a_call_calls_ends_sooner_and_for_the_same_limit() {
        let now = Instant::now();
        let deadline = Deadline::after(now, Duration::from_secs(10), TimeLimit::Server);
        let inner = deadline.clone().sooner(now);
        assert_eq!(deadline.at - inner.at, MARGIN);
        assert_eq!(inner.to_string(), "the server's --timeout is 10s");
    }
}

//! The number of files that the process may have open, connections among them.

/// Raises it to what the system allows at most. The usual limit of 1,024 is for programs that still use `select`, and fewer
/// than the connections that a server has.
#[cfg(unix)]
pub(super) fn allow_all() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, limit = limit.current, "the limit of open files cannot be raised");
    }
}

/// Such a limit is not known here.
#[cfg(not(unix))]
pub(super) fn allow_all() {}

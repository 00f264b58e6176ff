//! The number of files that the process may have open, connections among them.

/// How many files are kept for all but the public listener's connections: those of the admin listener, and those that
/// guests and the host itself open.
const KEPT: u64 = 1024;

/// Raises it to what the system allows at most, and returns that; `None` where there is no limit. The usual limit of
/// 1,024 is for programs that still use `select`, and fewer than the connections that a server has.
#[cfg(unix)]
pub(super) fn allow_all() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, open_files = limit.current, "the limit of open files cannot be raised");
            limit.current
        }
    }
}

/// Such a limit is not known here.
#[cfg(not(unix))]
pub(super) fn allow_all() -> Option<u64> {
    None
}

/// How many of `wanted` connections the public listener may have where the process may have so many `open_files`:
/// clients must leave some to the admin listener, which tells how the chain is, and to guests.
pub(super) fn connections(wanted: usize, open_files: Option<u64>) -> usize {
    let Some(open_files) = open_files else { return wanted };
    let room = open_files - KEPT.min(open_files / 2);
    let room = usize::try_from(room).unwrap_or(usize::MAX).max(1);
    if room < wanted {
        tracing::warn!(
            open_files,
            connections = room,
            "the limit of open files (ulimit -n) leaves room for fewer connections than --max-connections"
        );
    }
    room.min(wanted)
}

#[cfg(test)]
mod tests {
    use super::connections;

    #[test]
    fn clients_never_have_all_files_that_the_process_may_open() {
        assert_eq!(connections(10_000, None), 10_000);
        assert_eq!(connections(10_000, Some(1_000_000)), 10_000);
        assert_eq!(connections(10_000, Some(4096)), 3072);
        assert_eq!(connections(10_000, Some(256)), 128);
        assert_eq!(connections(10_000, Some(1)), 1);
        assert_eq!(connections(2, Some(4096)), 2);
    }
}

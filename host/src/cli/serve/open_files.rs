//! The limit of the process's open files. Connections are open files, too.

/// The number of files that the public listener's connections leave to others: to the admin listener's connections, to
/// guests, and to the host itself.
const KEPT: u64 = 1024;

/// Raises the limit to the most that the system allows, and returns it. Returns `None` if there is no limit. The usual
/// limit of 1,024 is for programs that still use `select`. A server has more connections than that.
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

/// Returns `None`, because this system has no such limit.
#[cfg(not(unix))]
pub(super) fn allow_all() -> Option<u64> {
    None
}

/// Returns how many of the `wanted` connections the public listener may have, if the process may have `open_files`
/// files. Clients must leave some files to the admin listener, which tells the state of the chain, and to guests.
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
    fn clients_never_use_all_files_that_the_process_may_open() {
        assert_eq!(connections(10_000, None), 10_000);
        assert_eq!(connections(10_000, Some(1_000_000)), 10_000);
        assert_eq!(connections(10_000, Some(4096)), 3072);
        assert_eq!(connections(10_000, Some(256)), 128);
        assert_eq!(connections(10_000, Some(1)), 1);
        assert_eq!(connections(2, Some(4096)), 2);
    }
}

//! The default of a host's memory budget.

use sysinfo::{MemoryRefreshKind, ProcessRefreshKind, ProcessesToUpdate, System, get_current_pid};

/// The budget in bytes if the available memory is unknown.
const FALLBACK: usize = 1 << 30;

/// Returns half of the memory that the process may have: half of its control group's limit if it has one, else half of
/// the machine's memory. The other half is for the guests, and for the program itself.
pub fn default_limit() -> usize {
    match usize::try_from(available() / 2) {
        Ok(0) | Err(_) => FALLBACK,
        Ok(half) => half,
    }
}

/// Returns how many bytes of memory the process may have.
fn available() -> u64 {
    let mut system = System::new();
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let machine = system.total_memory();
    let control_group = get_current_pid().ok().and_then(|process| {
        system.refresh_processes_specifics(
            ProcessesToUpdate::Some(&[process]),
            false,
            ProcessRefreshKind::nothing().without_tasks(),
        );
        system.process(process)?.cgroup_limits()
    });
    // Takes the limits of both, because in a container the control group of the process may look like the root of all.
    [control_group, system.cgroup_limits()]
        .into_iter()
        .flatten()
        .map(|limits| limits.total_memory)
        .fold(machine, u64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_half_of_what_there_is_at_most() {
        let machine = {
            let mut system = System::new();
            system.refresh_memory();
            system.total_memory()
        };
        let limit = u64::try_from(default_limit()).unwrap();
        assert!(limit > 0 && limit <= machine / 2, "{limit} of {machine}");
    }
}

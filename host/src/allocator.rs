//! The program's allocator, and how it is set.
//!
//! Calls are begun on one thread and ended on another, which costs the system's allocator much: see docs/performance.md.
//! By itself, mimalloc commits each arena as a whole when it reserves it, and keeps what is free for a second.

use libmimalloc_sys::{mi_option_set_default, mi_option_set_enabled_default, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_arena_eager_commit` of mimalloc 3: touch the memory of an arena when it is reserved. libmimalloc-sys has no name
/// for it.
const ARENA_EAGER_COMMIT: mi_option_t = 4;
/// `mi_option_purge_delay`: how many milliseconds free memory is kept before the system gets it back.
const PURGE_DELAY: mi_option_t = 15;
const PURGE_AFTER: std::ffi::c_long = 10;

/// Sets the allocator's options, but for those that a variable such as `MIMALLOC_PURGE_DELAY` sets.
#[expect(unsafe_code, reason = "these are functions of C")]
pub fn configure() {
    // SAFETY: both take an option by its number and store a value, which mimalloc allows at any time.
    unsafe {
        mi_option_set_enabled_default(ARENA_EAGER_COMMIT, false);
        mi_option_set_default(PURGE_DELAY, PURGE_AFTER);
    }
}

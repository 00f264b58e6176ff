//! The program's allocator, and its options.
//!
//! A call often begins on one thread and ends on another, which is slow with the system's allocator: see
//! docs/performance.md. By default, mimalloc commits each arena as a whole when it reserves it, and keeps free memory
//! for a second.

use libmimalloc_sys::{mi_collect, mi_option_set_default, mi_option_set_enabled_default, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_arena_eager_commit` of mimalloc 3: commit the memory of an arena when it is reserved. libmimalloc-sys has
/// no name for it.
const ARENA_EAGER_COMMIT: mi_option_t = 4;
/// `mi_option_purge_delay`: how many milliseconds free memory is kept before the system gets it back.
const PURGE_DELAY: mi_option_t = 15;
const PURGE_AFTER: std::ffi::c_long = 10;

/// Makes the loader call [`configure`] before mimalloc reserves its first arena. mimalloc does that in a constructor of
/// its own, before `main`. Constructors with a number in their section's name run before those without.
#[cfg(target_os = "linux")]
#[used]
#[expect(unsafe_code, reason = "the loader calls what is in this section")]
// SAFETY: the section holds pointers to functions of this type. `configure` needs nothing that is set up later: it
// allocates nothing and calls nothing of the standard library.
#[unsafe(link_section = ".init_array.00100")]
static BEFORE_MIMALLOC: extern "C" fn() = configure;

/// Sets the allocator's options, except those that a variable such as `MIMALLOC_PURGE_DELAY` sets.
#[expect(unsafe_code, reason = "these are functions of C")]
pub extern "C" fn configure() {
    // SAFETY: both take an option by its number and store a value, which mimalloc allows at any time.
    unsafe {
        mi_option_set_enabled_default(ARENA_EAGER_COMMIT, false);
        mi_option_set_default(PURGE_DELAY, PURGE_AFTER);
    }
}

/// Gives free memory back to the system, after the purge delay. mimalloc itself does so only when a thread allocates,
/// and the threads of an idle host do not.
#[expect(unsafe_code, reason = "this is a function of C")]
pub fn collect() {
    // SAFETY: any thread may call it at any time, and it changes nothing that is allocated.
    unsafe { mi_collect(false) }
}

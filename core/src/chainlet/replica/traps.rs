//! The trap codes of wasmtime in plain sentences, each with advice for the author of the guest.

use wasmtime::Trap;

use crate::engine::GUEST_STACK;

/// The most different functions that frames may have to count as a recursion.
const CYCLE: usize = 4;
/// The least number of frames that count as a recursion.
const DEEP: usize = 16;

const FIND_THE_CAUSE: &str = "the log has its frames, which say where";
const CORRUPT: &str = "its memory or its code is corrupt: look for `unsafe` code, or for code in C";
const BINDINGS: &str = "the code between it and its WIT is at fault: build it with the newest SDK or wit-bindgen, and report it \
                        there if that does not help";
const HOST: &str =
    "no guest should be able to bring this about: please report it as a bug of chainhost, with the component";

/// For each code: the guest's action, and advice.
const TABLE: &[(Trap, &str, &str)] = &[
    (
        Trap::StackOverflow,
        "the guest's stack overflowed",
        "its recursion is too deep or has no end. The limit is {stack} KiB, and no key of chain.toml changes it: use a loop, \
         or keep the data on the heap",
    ),
    (
        Trap::MemoryOutOfBounds,
        "the guest used an address outside of its memory",
        "look for `unsafe` code, for code in C, or for local variables too large for the part of the stack that is in its \
         memory. In Rust that part has 1 MiB, and `-C link-arg=-zstack-size=BYTES` changes it",
    ),
    (Trap::HeapMisaligned, "the guest used an address that is not aligned in an atomic instruction", CORRUPT),
    (Trap::TableOutOfBounds, "the guest called a function that is not in its table", CORRUPT),
    (Trap::IndirectCallToNull, "the guest called a function pointer that is null", CORRUPT),
    (
        Trap::BadSignature,
        "the guest called a function pointer as a function of another type",
        "look for a function pointer that is cast, or in C for a function that is declared otherwise than it is defined",
    ),
    (
        Trap::IntegerOverflow,
        "a division of the guest overflowed",
        "its result fits into no integer of its type, as that of `i32::MIN / -1`: check the operands first",
    ),
    (Trap::IntegerDivisionByZero, "the guest divided an integer by zero", "check the divisor first"),
    (
        Trap::BadConversionToInteger,
        "the guest converted a float into an integer that cannot hold it",
        "check for NaN, and that the value is in the range of the integer",
    ),
    (
        Trap::UnreachableCodeReached,
        "the guest ran an `unreachable` instruction",
        "a panic, an abort and a failed allocation end like this: the log has its frames, which say where",
    ),
    (Trap::Interrupt, "the guest was interrupted", HOST),
    (Trap::OutOfFuel, "the guest used up its fuel", HOST),
    (
        Trap::AtomicWaitNonSharedMemory,
        "the guest waited for another thread in a memory that no threads share",
        "a guest has one thread: build it without threads and atomics",
    ),
    (Trap::NullReference, "the guest used a reference that is null", FIND_THE_CAUSE),
    (Trap::ArrayOutOfBounds, "the guest used an element beyond the end of an array", FIND_THE_CAUSE),
    (Trap::AllocationTooLarge, "the guest asked for an object that is larger than any may be", FIND_THE_CAUSE),
    (Trap::CastFailure, "the guest cast a reference to a type that it is not of", FIND_THE_CAUSE),
    (
        Trap::CannotEnterComponent,
        "a component in the guest was called while it was calling another",
        "the components that it is composed of call each other in a cycle, which they may not",
    ),
    (Trap::NoAsyncResult, "the guest ended an async call without an answer", BINDINGS),
    (Trap::UnhandledTag, "the guest suspended to a handler that does not exist", FIND_THE_CAUSE),
    (Trap::ContinuationAlreadyConsumed, "the guest resumed a continuation twice", FIND_THE_CAUSE),
    (Trap::DisabledOpcode, "the guest's compiled code has an instruction that is disabled", HOST),
    (
        Trap::AsyncDeadlock,
        "the guest waits for something that can no longer happen",
        "look for a lock or a channel whose other end waits as well; without the SDK, wit-bindgen needs its feature \
         `inter-task-wakeup` where one call wakes another",
    ),
    (Trap::CannotLeaveComponent, "the guest called an import where it may call none", BINDINGS),
    (
        Trap::CannotBlockSyncTask,
        "the guest waited in a function that is not async",
        "declare the function `async func` in its WIT, or do not wait in it",
    ),
    (Trap::InvalidChar, "the guest passed a `char` that is not a Unicode scalar value", CORRUPT),
    (Trap::DebugAssertStringEncodingFinished, "a check in the guest's compiled code failed", HOST),
    (Trap::DebugAssertEqualCodeUnits, "a check in the guest's compiled code failed", HOST),
    (Trap::DebugAssertPointerAligned, "a check in the guest's compiled code failed", HOST),
    (Trap::DebugAssertUpperBitsUnset, "a check in the guest's compiled code failed", HOST),
    (Trap::StringOutOfBounds, "the guest passed a string that is not in its memory", CORRUPT),
    (Trap::ListOutOfBounds, "the guest passed a list that is not in its memory", CORRUPT),
    (
        Trap::InvalidDiscriminant,
        "the guest passed a case of a variant, an enum or a result that does not exist",
        CORRUPT,
    ),
    (Trap::UnalignedPointer, "the guest passed an address that is not aligned", CORRUPT),
    (Trap::TaskCancelNotCancelled, "the guest acknowledged a cancellation that nobody asked for", BINDINGS),
    (Trap::TaskCancelOrReturnTwice, "the guest answered one call twice", BINDINGS),
    (Trap::SubtaskCancelAfterTerminal, "the guest cancelled a call that had ended", BINDINGS),
    (Trap::TaskReturnInvalid, "the guest answered a call with a value of another type", BINDINGS),
    (Trap::WaitableSetDropHasWaiters, "the guest dropped a set of events for which it waits", BINDINGS),
    (Trap::SubtaskDropNotResolved, "the guest dropped a call that had not ended", BINDINGS),
    (Trap::ThreadNewIndirectInvalidType, "the guest started a thread with a function of another type", BINDINGS),
    (Trap::ThreadNewIndirectUninitialized, "the guest started a thread with a function that does not exist", BINDINGS),
    (Trap::BackpressureOverflow, "the guest held back new calls more often than can be counted", BINDINGS),
    (Trap::UnsupportedCallbackCode, "the guest's event loop returned a code that does not exist", BINDINGS),
    (Trap::CannotResumeThread, "the guest resumed a thread that was not suspended", BINDINGS),
    (
        Trap::ConcurrentFutureStreamOp,
        "the guest read or wrote a stream or a future while it was doing so already",
        "wait for the end of one operation before the next",
    ),
    (Trap::ReferenceCountOverflow, "the guest holds more references to one thing than can be counted", FIND_THE_CAUSE),
    (
        Trap::StreamOpTooBig,
        "the guest read or wrote too many items of a stream at once",
        "it may ask for fewer than 2^28 items at a time: write the stream in parts",
    ),
    (
        Trap::WaitableSyncAndAsync,
        "the guest waited for one thing in two ways at once, by blocking and in its event loop",
        "do not block on a stream, a future or a call for which an `await` waits",
    ),
    (
        Trap::UncaughtException,
        "an exception of the guest was not caught",
        "catch it in the guest, and return an error for it",
    ),
];

/// Returns what the guest did, and advice. `frames` are the functions of its backtrace, innermost first, by any
/// numbers.
pub(super) fn sentence(trap: Trap, frames: &[u32]) -> String {
    // A recursion with large frames uses up the stack in the guest's memory before the host's stack.
    if trap == Trap::MemoryOutOfBounds && is_recursion(frames) {
        return "the guest used an address outside of its memory, and its frames repeat, so its stack has most likely \
                overflowed; its recursion is too deep or has no end. In Rust the part of the stack that is in memory has 1 MiB, \
                and `-C link-arg=-zstack-size=BYTES` changes it"
            .to_owned();
    }
    match TABLE.iter().find(|(code, ..)| *code == trap) {
        Some((_, what, advice)) => {
            format!("{what}; {}", advice.replace("{stack}", &(GUEST_STACK >> 10).to_string()))
        }
        None => {
            let words = trap.to_string();
            format!("the guest trapped: {}", words.strip_prefix("wasm trap: ").unwrap_or(&words))
        }
    }
}

/// Returns true if the innermost frames are of a few functions that call each other again and again.
fn is_recursion(frames: &[u32]) -> bool {
    let mut different: Vec<_> = frames.to_vec();
    different.sort_unstable();
    different.dedup();
    frames.len() >= DEEP && different.len() <= CYCLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trap_of_wasmtime_has_a_sentence_of_its_own() {
        let all: Vec<_> = (0..=u8::MAX).filter_map(Trap::from_u8).collect();
        assert!(all.len() > 40, "{}", all.len());
        for trap in all {
            assert_eq!(TABLE.iter().filter(|(code, ..)| *code == trap).count(), 1, "{trap:?}");
            let sentence = sentence(trap, &[]);
            assert!(!sentence.contains(['{', '\n']) && !sentence.contains("  "), "{sentence}");
        }
    }

    #[test]
    fn a_stack_overflow_is_called_that_with_its_limit() {
        let overflow = sentence(Trap::StackOverflow, &[]);
        assert!(overflow.starts_with("the guest's stack overflowed; its recursion is too deep"), "{overflow}");
        assert!(overflow.contains("512 KiB"), "{overflow}");
    }

    #[test]
    fn frames_that_repeat_make_a_bad_address_a_stack_overflow() {
        let recursion: Vec<u32> = [7, 8].into_iter().cycle().take(20).collect();
        assert!(sentence(Trap::MemoryOutOfBounds, &recursion).contains("stack has most likely overflowed"));
        let deep: Vec<u32> = (0..20).collect();
        for frames in [&deep[..], &recursion[..4], &[]] {
            assert!(!sentence(Trap::MemoryOutOfBounds, frames).contains("overflowed"), "{frames:?}");
        }
        assert!(!sentence(Trap::IntegerDivisionByZero, &recursion).contains("overflowed"));
    }
}

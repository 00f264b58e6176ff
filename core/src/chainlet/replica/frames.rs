//! Writes the guest's frames at a trap in plain lines: the function, and its file and line if the component names them.
//!
//! ```text
//!  0: load, /home/ada/chain/model/src/lib.rs:41 (inlined)
//!     model::answer, /home/ada/chain/model/src/lib.rs:12
//!  1: model::walk, /home/ada/chain/model/src/tree.rs:30
//!     (the same 7 times more)
//!  9: function 117
//! ```

use std::fmt::Write as _;

use wasmtime::{FrameInfo, WasmBacktrace};

/// Returns the lines, innermost frame first.
pub(super) fn lines(backtrace: &WasmBacktrace) -> String {
    let frames = backtrace.frames().iter().map(|frame| {
        let mut text = String::new();
        write_frame(&mut text, frame);
        text
    });
    numbered(frames)
}

/// Numbers the frames, and writes equal frames in a row only once, with a note of how many there are.
fn numbered(frames: impl Iterator<Item = String>) -> String {
    let mut frames = frames.enumerate().peekable();
    let mut lines = String::new();
    while let Some((number, frame)) = frames.next() {
        let mut more = 0;
        while frames.next_if(|(_, next)| *next == frame).is_some() {
            more += 1;
        }
        let break_or_none = if number > 0 { "\n" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(lines, "{break_or_none}{number:>2}: {frame}");
        if more > 0 {
            let times = if more == 1 { "once".to_owned() } else { format!("{more} times") };
            let _ = write!(lines, "\n    (the same {times} more)");
        }
    }
    lines
}

/// Returns the functions of the frames, by numbers that are unique in each module.
pub(super) fn functions(backtrace: &WasmBacktrace) -> Vec<u32> {
    // Functions of several modules may have the same number. That makes no other backtrace look like a recursion: for
    // that, the modules would have to call each other again and again.
    backtrace.frames().iter().map(FrameInfo::func_index).collect()
}

fn write_frame(lines: &mut String, frame: &FrameInfo) {
    let symbols = frame.symbols();
    if symbols.is_empty() {
        return write_function(lines, frame.func_name(), frame.func_index());
    }
    for (number, symbol) in symbols.iter().enumerate() {
        if number > 0 {
            lines.push_str("\n    ");
        }
        // The outermost function of a frame is one of the module, which has its full name. The others were inlined into
        // it, and the debug information has only their short names.
        let is_outermost = number + 1 == symbols.len();
        match symbol.name() {
            name if is_outermost => write_function(lines, frame.func_name().or(name), frame.func_index()),
            Some(name) => {
                let _ = write_name(lines, without_arguments(name));
            }
            None => lines.push_str("a function without a name"),
        }
        if let Some(file) = symbol.file() {
            let _ = write!(lines, ", {}", short(file));
            if let Some(line) = symbol.line() {
                let _ = write!(lines, ":{line}");
            }
        }
        if !is_outermost {
            lines.push_str(" (inlined)");
        }
    }
}

fn write_function(lines: &mut String, name: Option<&str>, index: u32) {
    let _ = match name {
        Some(name) => write_name(lines, name),
        None => write!(lines, "function {index}"),
    };
}

/// Writes a name as its language writes it, without the hash that Rust's compiler adds.
fn write_name(lines: &mut String, name: &str) -> std::fmt::Result {
    if let Ok(name) = rustc_demangle::try_demangle(name) {
        return write!(lines, "{name:#}");
    }
    match cpp_demangle::Symbol::new(name).ok().and_then(|symbol| symbol.demangle().ok()) {
        Some(name) => lines.write_str(&name),
        None => lines.write_str(name),
    }
}

/// Returns the short name of an inlined function without its type arguments, which may fill pages.
fn without_arguments(name: &str) -> &str {
    match name.split_once('<') {
        Some((short, _)) if !short.is_empty() && !short.starts_with("operator") => short,
        _ => name,
    }
}

/// Returns the path of a source file. A path of Rust's standard library loses the folder on its builder's machine.
fn short(file: &str) -> &str {
    let within = file.strip_prefix("/rustc/").and_then(|rest| rest.split_once('/'));
    within.map_or(file, |(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_their_language_writes_them() {
        for (mangled, name) in [
            ("_ZN12guest_faults8overflow17h0123456789abcdefE", "guest_faults::overflow"),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
            ("_ZN3foo3barEi", "foo::bar(int)"),
            ("memcpy", "memcpy"),
            ("alloc::vec::Vec<T>::push", "alloc::vec::Vec<T>::push"),
        ] {
            let mut written = String::new();
            write_name(&mut written, mangled).unwrap();
            assert_eq!(written, name);
        }
    }

    #[test]
    fn names_of_inlined_functions_have_no_type_arguments() {
        for (name, short) in [("poll<core::task::poll::Poll<()>>", "poll"), ("act", "act"), ("operator<", "operator<")]
        {
            assert_eq!(without_arguments(name), short);
        }
    }

    #[test]
    fn frames_that_are_the_same_are_shown_once_with_their_number() {
        let lines = |frames: &[&str]| numbered(frames.iter().map(ToString::to_string));
        assert_eq!(lines(&["a", "b"]), " 0: a\n 1: b");
        assert_eq!(lines(&["a", "a", "b"]), " 0: a\n    (the same once more)\n 2: b");
        assert_eq!(lines(&["a", "b", "b", "b"]), " 0: a\n 1: b\n    (the same 2 times more)");
        assert_eq!(lines(&[]), "");
    }

    #[test]
    fn files_of_the_standard_library_are_named_from_its_own_folder() {
        assert_eq!(short("/rustc/59807616e1fa/library/core/src/panicking.rs"), "library/core/src/panicking.rs");
        assert_eq!(short("/home/ada/chain/src/lib.rs"), "/home/ada/chain/src/lib.rs");
    }
}

//! The guest's frames at a trap, in plain lines: the function, and its file and line where the component says them.
//!
//! ```text
//! 0: model::load, src/model.rs:41
//! 1: <model::Model as wit::Guest>::run_remote, src/lib.rs:12 (inlined)
//!    model::run_remote, src/lib.rs:30
//! 2: function 117
//! ```

use std::fmt::Write as _;

use wasmtime::{FrameInfo, WasmBacktrace};

/// The lines, innermost frame first.
pub(super) fn lines(backtrace: &WasmBacktrace) -> String {
    let mut lines = String::new();
    for (number, frame) in backtrace.frames().iter().enumerate() {
        if number > 0 {
            lines.push('\n');
        }
        // Writing to a string cannot fail.
        let _ = write!(lines, "{number:>2}: ");
        write_frame(&mut lines, frame);
    }
    lines
}

/// The functions of the frames, by numbers that are each function's own.
pub(super) fn functions(backtrace: &WasmBacktrace) -> Vec<u32> {
    // Those of several modules may have one number, which makes no recursion of a backtrace that is none: their modules
    // would have to call each other again and again.
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
        // Only the outermost function of a frame is one of the module; those before it were inlined into it.
        let is_outermost = number + 1 == symbols.len();
        let name = symbol.name().or(if is_outermost { frame.func_name() } else { None });
        match name {
            None if !is_outermost => lines.push_str("a function without a name"),
            name => write_function(lines, name, frame.func_index()),
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

/// The path of a source file, for one of Rust's standard library without the folder that was on its builder's machine.
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
        ] {
            let mut written = String::new();
            write_name(&mut written, mangled).unwrap();
            assert_eq!(written, name);
        }
    }

    #[test]
    fn files_of_the_standard_library_are_named_from_its_own_folder() {
        assert_eq!(short("/rustc/59807616e1fa/library/core/src/panicking.rs"), "library/core/src/panicking.rs");
        assert_eq!(short("/home/ada/chain/src/lib.rs"), "/home/ada/chain/src/lib.rs");
    }
}

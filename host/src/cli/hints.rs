//! Hints for options of other servers: they say what to write instead.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Each entry has a command, options that the command does not have, and a hint.
const HINTS: [(&str, &[&str], &str); 6] = [
    ("serve", &["--port", "-p"], "write --listen PORT, or --listen ADDRESS:PORT for other machines than this one"),
    ("serve", &["--host", "--bind", "--address", "--addr"], "write --listen ADDRESS:PORT"),
    ("serve", &["--metrics", "--metrics-port", "--admin-port"], "write --admin PORT; /metrics is there"),
    ("serve", &["--reload"], "write --watch"),
    ("serve", &["--workers", "--threads"], "write --guest-threads COUNT"),
    ("call", &["--data", "-d", "--input", "--json"], "write the JSON after CHAIN.TOML, or - to read it from stdin"),
];

/// Adds a hint to `error`, if the unknown option of `command` has one.
pub fn with_hint(mut error: clap::Error, command: Option<&str>) -> clap::Error {
    let Some(command) = command.filter(|_| error.kind() == ErrorKind::UnknownArgument) else { return error };
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return error };
    let hint = HINTS.iter().find(|(of, options, _)| *of == command && options.contains(&option.as_str()));
    if let Some((_, _, hint)) = hint {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(*hint)]));
    }
    error
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::Cli;

    fn message(line: &[&str]) -> String {
        let words = ["chainhost"].iter().chain(line);
        let error = Cli::try_parse_from(words).unwrap_err();
        with_hint(error, line.first().copied()).to_string()
    }

    #[test]
    fn an_option_of_other_servers_is_answered_with_ours() {
        let text = message(&["serve", "chain.toml", "--port", "80"]);
        assert!(text.contains("unexpected argument '--port' found"), "{text}");
        assert!(text.contains("tip: write --listen PORT"), "{text}");
        assert!(message(&["serve", "chain.toml", "-p", "80"]).contains("--listen PORT"));
        let text = message(&["check", "chain.toml", "--port", "80"]);
        assert!(!text.contains("--listen"), "{text}");
    }

    #[test]
    fn hints_are_for_unknown_options_and_name_known_ones() {
        for (name, options, hint) in HINTS {
            let command = Cli::command();
            let command = command.find_subcommand(name).unwrap();
            let longs: Vec<String> =
                command.get_arguments().filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect();
            assert!(options.iter().all(|option| !longs.iter().any(|long| long == option)), "{options:?}");
            let named = hint.split(' ').find(|word| word.starts_with("--"));
            assert!(named.is_none_or(|named| longs.iter().any(|long| long == named)), "{hint}");
        }
    }
}

//! The commands in a Markdown text, and the output that it shows.

/// Stands for any text within a line, or for any number of lines.
const ANY: &str = "…";

/// A command, and the output that is shown below it.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    /// The text after `$ `, on one line.
    pub command: String,
    /// The lines below it; empty if the output does not matter.
    pub output: Vec<String>,
}

/// Returns the commands in the `console` blocks of `markdown`, in order.
pub fn commands(markdown: &str) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    let (mut inside, mut unfinished) = (false, false);
    for line in markdown.lines() {
        if line.starts_with("```") {
            inside = !inside && line.trim_end() == "```console";
            continue;
        }
        if !inside {
            continue;
        }
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(Shown { command: String::new(), output: Vec::new() });
            unfinished = take(&mut commands, command);
        } else if unfinished {
            unfinished = take(&mut commands, line);
        } else if let Some(last) = commands.last_mut() {
            last.output.push(line.trim_end().to_owned());
        }
    }
    for shown in &mut commands {
        // A blank line between two commands is not output.
        let printed = shown.output.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        shown.output.truncate(printed);
    }
    commands
}

/// Adds `line` to the last command. Returns true if the next line belongs to
/// the command, too.
fn take(commands: &mut [Shown], line: &str) -> bool {
    let Some(last) = commands.last_mut() else { return false };
    let part = line.trim();
    let (part, goes_on) = part.strip_suffix('\\').map_or((part, false), |part| (part.trim_end(), true));
    if !last.command.is_empty() {
        last.command.push(' ');
    }
    last.command.push_str(part);
    goes_on
}

/// Returns true if `printed` agrees with `shown`.
pub fn agrees(shown: &[String], printed: &str) -> bool {
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    let printed: Vec<&str> = printed.trim_end().lines().map(str::trim_end).collect();
    shown.is_empty() || lines_agree(&shown, &printed)
}

fn lines_agree(shown: &[&str], printed: &[&str]) -> bool {
    match (shown, printed) {
        ([], []) => true,
        ([any, rest @ ..], _) if any.trim() == ANY => {
            (0..=printed.len()).any(|skipped| printed.get(skipped..).is_some_and(|printed| lines_agree(rest, printed)))
        }
        ([line, shown @ ..], [text, printed @ ..]) => line_agrees(line, text) && lines_agree(shown, printed),
        _ => false,
    }
}

fn line_agrees(shown: &str, printed: &str) -> bool {
    let Some((start, rest)) = shown.split_once(ANY) else { return shown == printed };
    let Some(printed) = printed.strip_prefix(start) else { return false };
    printed
        .char_indices()
        .map(|(at, _)| at)
        .chain([printed.len()])
        .any(|at| printed.get(at..).is_some_and(|printed| line_agrees(rest, printed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_output_are_found_only_in_console_blocks() {
        let text = "a\n```sh\n$ no\n```\n$ nor this\n```console\n$ one\nout\n\n$ two \\\n    more\n$ three\n```\nout\n```console\n$ four\n```\n";
        let found = commands(text);
        let lines: Vec<_> = found.iter().map(|shown| shown.command.as_str()).collect();
        assert_eq!(lines, ["one", "two more", "three", "four"]);
        assert_eq!(found[0].output, ["out"]);
        assert!(found[1..].iter().all(|shown| shown.output.is_empty()));
    }

    #[test]
    fn output_agrees_if_only_the_dots_differ() {
        let agrees =
            |shown: &[&str], printed| agrees(&shown.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>(), printed);
        assert!(agrees(&[], "anything"));
        assert!(agrees(&["a … c", "…", "z"], "a b c\n1\n2\nz\n"));
        assert!(agrees(&["…"], ""));
        assert!(agrees(&["a…"], "a"));
        assert!(!agrees(&["a"], "a\nb"));
        assert!(!agrees(&["a", "b"], "a"));
        assert!(!agrees(&["a … c"], "a b d"));
    }
}

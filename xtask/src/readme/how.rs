//! The ways in which the commands of a document are tried.

/// The way in which the reader follows a command.
#[derive(Debug, PartialEq, Eq)]
pub enum How<'c> {
    /// The command is not run. It takes a newcomer to the state in which this task begins.
    Already,
    /// The command is not run. A step of CI runs it.
    InCi,
    /// The command is run with the profile of the tests, so that nothing is compiled twice.
    Install,
    /// The reader goes to another folder.
    Enter(&'c str),
    /// The command is run, and the variable of this name is kept for all later commands.
    Export(&'c str),
    /// The chain keeps running until the next one is served or the document ends.
    Serve,
    /// The program keeps running until the document ends.
    Leave,
    /// The command is run unchanged.
    Run,
}

impl How<'_> {
    /// Returns the way for `command`.
    pub fn of(command: &str) -> How<'_> {
        let (_, program) = split_variables(command);
        match program.split(' ').collect::<Vec<_>>().as_slice() {
            ["git", "clone", ..] | ["cd", "chainhost"] => How::Already,
            ["cargo", "xtask", ..] => How::InCi,
            ["cargo", "install", "--path", "host", "--locked", "--profile", "dist"] => How::Install,
            ["cargo", "run", ..] => How::Leave,
            ["cd", folder] => How::Enter(folder),
            ["export", assignment] => How::Export(assignment.split_once('=').map_or(assignment, |(name, _)| name)),
            ["chainhost", "serve", ..] => How::Serve,
            _ => How::Run,
        }
    }
}

/// Splits `NAME=value NAME=value program …` before the program.
pub fn split_variables(command: &str) -> (&str, &str) {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let is_assignment = |word: &&str| word.split_once('=').is_some_and(|(name, _)| is_name(name));
    let length: usize = command.split_inclusive(' ').take_while(is_assignment).map(str::len).sum();
    command.split_at_checked(length).unwrap_or(("", command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_its_way() {
        assert_eq!(How::of("cargo xtask demo"), How::InCi);
        assert_eq!(How::of("cargo install --path host --locked --profile dist"), How::Install);
        assert_eq!(How::of("cargo run --locked -p answer-stand-in"), How::Leave);
        assert_eq!(How::of("cd hello"), How::Enter("hello"));
        assert_eq!(How::of("cd chainhost"), How::Already);
        assert_eq!(How::of("cd ../chainhost"), How::Enter("../chainhost"));
        assert_eq!(How::of("export PATH=\"$PWD/bin:$PATH\""), How::Export("PATH"));
        assert_eq!(How::of("chainhost serve chain.toml"), How::Serve);
        assert_eq!(How::of("KEY=one chainhost serve chain.toml"), How::Serve);
        assert_eq!(How::of("chainhost build chain.toml"), How::Run);
        assert_eq!(How::of("cargo test"), How::Run);
    }

    #[test]
    fn variables_come_before_a_program() {
        assert_eq!(split_variables("A=1 B_C=2 run a=b"), ("A=1 B_C=2 ", "run a=b"));
        assert_eq!(split_variables("run A=1"), ("", "run A=1"));
        assert_eq!(split_variables("A=1"), ("A=1", ""));
    }
}

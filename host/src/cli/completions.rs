//! `chainhost completions`: prints the script with which a shell completes the command line.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Failure, output};

/// Print a script with which a shell completes this command line
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  chainhost completions bash > ~/.local/share/bash-completion/completions/chainhost
  chainhost completions zsh > ~/.zfunc/_chainhost
  chainhost completions fish > ~/.config/fish/completions/chainhost.fish")]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    pub fn run(&self) -> Result<(), Failure> {
        // The script goes to memory first, because the generator panics if it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "chainhost", &mut script);
        output::answer(&script)
    }
}

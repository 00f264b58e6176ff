//! `chainhost check`: checks and shows a chain without running it.

mod json;
mod text;

use chainhost::chain::Plan;
use chainhost::config::ChainSpec;
use clap::Args;

use super::args::{self, ChainFileArg, LoadArgs};
use super::{Exit, Failure, output};

/// Check a chain and print who calls whom
///
/// Reads chain.toml and the components, resolves every dependency, compares the types at both ends of every edge, and
/// looks whether every file and secret is there. No Chainlet runs. If all is well the chain is printed on stdout: the
/// tree of calls, and for each Chainlet its signature in WIT, its limits and what it may use. Otherwise every mistake
/// is told with its place in chain.toml.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  chainhost check chain.toml
  chainhost check chain.toml --json | jq '.chainlets[].signature'
  chainhost check chain.toml --without-secrets      in CI, where no secret is set

Exit codes:
  0 the chain can be served   3 it cannot   others: see `chainhost --help`")]
pub struct Check {
    #[command(flatten)]
    file: ChainFileArg,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,

    /// Do not ask whether the secrets have values
    #[arg(long, conflicts_with = "secrets")]
    without_secrets: bool,

    #[command(flatten)]
    setting: LoadArgs,
}

impl Check {
    /// Checks the chain and prints it.
    pub async fn run(self) -> Result<(), Failure> {
        let mut spec = self.file.read()?;
        self.setting.apply(&mut spec);
        let host = match self.without_secrets {
            true => args::host_without_secrets(self.setting.cache_limits())?,
            false => self.setting.host()?,
        };
        let plan = host.check(&spec).await?;
        let chain = Checked { spec: &spec, plan: &plan };
        let mut answer = if self.json {
            serde_json::to_string_pretty(&chain.to_json()).map_err(|error| {
                Failure::new(Exit::System, format_args!("the chain cannot be written as JSON: {error}"))
            })?
        } else {
            chain.to_text()
        };
        if !answer.ends_with('\n') {
            answer.push('\n');
        }
        output::answer(answer.as_bytes())
    }
}

/// A chain that was checked: its chain.toml, and the plan that resolves it.
struct Checked<'a> {
    spec: &'a ChainSpec,
    plan: &'a Plan,
}

/// Returns the counts as text, such as `2 chainlets, 1 edge`.
pub fn counts(chainlets: usize, edges: usize) -> String {
    let count = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    format!("{}, {}", count(chainlets, "chainlet"), count(edges, "edge"))
}

//! `chainhost call`: one call, without HTTP.

use std::io::{self, Read as _};
use std::time::Duration;

use chainhost::chain::CallOptions;
use clap::Args;

use super::args::{self, ChainFileArg, LoadArgs};
use super::build::Purpose;
use super::{Exit, Failure, build, near, output};

/// Call a Chainlet once, in this process, and print the JSON that it answers
///
/// Starts the chain as `serve` does, makes one call, prints the answer on stdout and nothing else, and ends. The input
/// is a JSON object with a member for each parameter. What Chainlets print, and errors, go to stderr.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  chainhost call chain.toml '{"names": ["Ada", "Alan"]}'
  chainhost call chain.toml --chainlet say-hello '{"name": "Ada"}'
  echo '{"names": []}' | chainhost call --build chain.toml -

Exit codes:
  0 the answer is on stdout   1 the call failed   others: see `chainhost --help`"#)]
pub struct Call {
    #[command(flatten)]
    file: ChainFileArg,

    /// The input; `-` reads it from stdin, and a call without parameters needs none
    #[arg(value_name = "JSON|-")]
    input: Option<String>,

    /// Call this Chainlet rather than the entrypoint
    #[arg(long, value_name = "NAME")]
    chainlet: Option<String>,

    /// Run the build commands first
    #[arg(long)]
    build: bool,

    /// The longest time to wait for the answer, such as 10s; by default, there is no limit
    #[arg(long, value_name = "DURATION", value_parser = args::duration)]
    timeout: Option<Duration>,

    #[command(flatten)]
    setting: LoadArgs,
}

impl Call {
    /// Makes the call.
    pub async fn run(self) -> Result<(), Failure> {
        let mut spec = if self.build { self.file.read_before_build()? } else { self.file.read()? };
        if let Some(chainlet) = &self.chainlet {
            near::chainlet(&spec, chainlet)?;
        }
        let input = input(self.input).await?;
        if self.build {
            build::all(&spec, Purpose::Release).await?;
            spec = self.file.read()?;
        }
        self.setting.apply(&mut spec);
        let chain = self.setting.host()?.load(&spec).await?;
        let mut options = CallOptions::default();
        options.timeout = self.timeout;
        let answer = match &self.chainlet {
            Some(name) => match chain.chainlet(name) {
                Some(chainlet) => chainlet.call_json(&input, options).await,
                None => {
                    let message = format_args!("the chain `{}` has no chainlet `{name}`", spec.name);
                    return Err(Failure::new(Exit::Usage, message));
                }
            },
            None => chain.call_json(&input, options).await,
        };
        // The one call has ended, so there is nothing to wait for.
        chain.stop(Duration::ZERO).await;
        let mut answer = answer?;
        answer.push(b'\n');
        output::answer(&answer)
    }
}

/// Returns the bytes of the input.
async fn input(argument: Option<String>) -> Result<Vec<u8>, Failure> {
    match argument {
        Some(argument) if argument == "-" => {
            stdin().await.map_err(|error| Failure::system("the input could not be read from stdin", &error))
        }
        Some(argument) => Ok(argument.into_bytes()),
        None => Ok(Vec::new()),
    }
}

/// Reads stdin to its end, on a thread of its own. If a signal comes meanwhile, nobody waits for that thread.
async fn stdin() -> io::Result<Vec<u8>> {
    let read = tokio::task::spawn_blocking(|| {
        let mut input = Vec::new();
        io::stdin().lock().read_to_end(&mut input).map(|_| input)
    });
    read.await?
}

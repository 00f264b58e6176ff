use clap::CommandFactory as _;
use clap::error::ErrorKind;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

#[test]
fn the_definition_of_the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_explains_itself_with_an_example() {
    for command in Cli::command().get_subcommands_mut() {
        let name = command.get_name().to_owned();
        let help = command.render_long_help().to_string();
        assert!(help.contains("Examples:\n") && help.contains(&format!("chainhost {name}")), "{help}");
    }
}

#[test]
fn the_help_has_the_exit_codes() {
    let help = Cli::command().render_long_help().to_string();
    assert!(help.contains(&exit::table()), "{help}");
}

#[test]
fn a_command_line_is_read_as_it_is_documented() {
    for line in [
        "chainhost serve chain.toml --listen 0.0.0.0:80 --admin 9090 --build --secrets s.toml --environment production",
        "chainhost serve chain.toml --timeout 10s --body-limit 1MiB --drain 0s --log json",
        "chainhost call chain.toml {} --chainlet say-hello",
        "chainhost call chain.toml -",
        "chainhost check chain.toml --json",
        "chainhost build chain.toml say-hello hello-all --no-check",
        "chainhost new hello --sdk ../guest-sdk",
        "chainhost cache",
        "chainhost cache --clear --json --cache-limit 1GiB --cache-age 7days",
        "chainhost serve chain.toml --cache-limit 100MiB --cache-age 1h",
        "chainhost build chain.toml --cache-limit 100MiB",
        "chainhost completions zsh",
    ] {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
    }
}

#[test]
fn a_wrong_command_line_is_refused() {
    for (line, kind) in [
        ("chainhost serve", ErrorKind::MissingRequiredArgument),
        ("chainhost serve chain.toml --listen nowhere", ErrorKind::ValueValidation),
        ("chainhost serve chain.toml --body-limit 16", ErrorKind::ValueValidation),
        ("chainhost serve chain.toml --timeout 0s", ErrorKind::ValueValidation),
        ("chainhost serve chain.toml --environment a/b", ErrorKind::ValueValidation),
        ("chainhost serve chain.toml --log loud", ErrorKind::InvalidValue),
        ("chainhost serv chain.toml", ErrorKind::InvalidSubcommand),
    ] {
        assert_eq!(parse(line).map(|_| ()).map_err(|error| error.kind()), Err(kind), "{line}");
    }
}

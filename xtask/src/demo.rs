//! `cargo xtask demo`: from a fresh clone to answers.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cargo::{build, build_host, chainhost, forget_this_package};
use crate::failure::Failure;
use crate::http;
use crate::served::Served;
use crate::step::{Steps, say};
use crate::toolchain;

/// The chain that is shown, seen from the top of the repository.
const CHAIN: &str = "examples/search/chain.toml";
/// What it is asked.
const QUESTIONS: [&str; 3] = [
    "What is a truth universally acknowledged?",
    "Why does Jane go to Netherfield on horseback?",
    "What is the difference between vanity and pride?",
];
/// How many passages of each answer are shown.
const PASSAGES: usize = 2;
/// How long a line of a passage may be.
const WIDTH: usize = 90;

/// Builds, serves, asks and stops.
pub fn run(root: &Path) -> Result<(), Failure> {
    let mut steps = Steps::new(5);
    steps.run("Check the toolchain", || toolchain::ensure(root))?;
    steps.run("Build chainhost (many minutes the first time)", || build_host(root))?;
    steps.run("Build the five Chainlets of examples/search", || {
        let mut command = Command::new(chainhost(root));
        forget_this_package(&mut command);
        build(command.current_dir(root).args(["build", CHAIN]))
    })?;
    let served = steps.run("Serve the chain", || {
        Served::start(Command::new(chainhost(root)).current_dir(root).args(["serve", CHAIN]))
    })?;
    let times = steps.run("Ask it three questions", || {
        let asked = QUESTIONS.iter().map(|question| ask(&served, question)).collect::<Result<Vec<_>, _>>();
        asked.map_err(|failure| served.explain(failure))
    })?;
    served.stop()?;
    steps.finish("That was the demo, and the chain is stopped again.");
    say(format_args!("Over HTTP, the chain answered its questions in {}.", listed(&times)));
    say(format_args!(
        "\nTo go on, put the program that was built into the path of this terminal, and serve the chain yourself:\n
    export PATH=\"$PWD/target/debug:$PATH\"
    chainhost serve {CHAIN}\n
and ask it from another terminal:\n
    curl -s http://127.0.0.1:8080/run_remote -H 'content-type: application/json' \\
      -d '{{\"question\": \"Who has taken Netherfield Park?\", \"limit\": 1}}'\n
A chain of your own, with the same program: README.md. How this one works: examples/search/README.md."
    ));
    Ok(())
}

/// Lengths of time, for a sentence.
fn listed(times: &[Duration]) -> String {
    let times: Vec<_> = times.iter().map(|time| format!("{:.1} ms", time.as_secs_f64() * 1000.0)).collect();
    match times.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => times.concat(),
    }
}

/// Asks the chain, shows what it answered, and returns how long it took from the connection to the end of the answer.
fn ask(served: &Served, question: &str) -> Result<Duration, Failure> {
    let body = json!({ "question": question, "limit": PASSAGES }).to_string();
    let start = Instant::now();
    let answer = http::post(served.address(), "/run_remote", &body)?;
    let took = start.elapsed();
    let unexpected = || {
        Failure::new(
            format_args!("the chain answered {question:?} with {}: {}", answer.status, answer.body),
            "look at its log above; if there is nothing in it, report this as a bug",
        )
    };
    let passages = Some(&answer).filter(|answer| answer.status == 200).and_then(|answer| passages(&answer.body));
    let passages = passages.filter(|passages| !passages.is_empty()).ok_or_else(unexpected)?;
    say(format_args!("\n{question}"));
    for passage in passages {
        let mut lines = wrapped(&passage.snippet, WIDTH).into_iter();
        say(format_args!("  {:5.1}  {}: {}", passage.score, passage.chapter, lines.next().unwrap_or_default()));
        lines.for_each(|line| say(format_args!("         {line}")));
    }
    Ok(took)
}

/// A passage of an answer.
#[derive(Debug, PartialEq)]
struct Passage {
    chapter: String,
    snippet: String,
    score: f64,
}

/// The passages in the answer of the chain; `None` where it is not such an answer.
fn passages(answer: &str) -> Option<Vec<Passage>> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let passage = |passage: &Value| {
        Some(Passage {
            chapter: passage.get("chapter")?.as_str()?.to_owned(),
            snippet: passage.get("snippet")?.as_str()?.to_owned(),
            score: passage.get("score")?.as_f64()?,
        })
    };
    answer.get("passages")?.as_array()?.iter().map(passage).collect()
}

/// `text` in lines of at most `width` characters, unless a word is longer.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_passages_of_an_answer_are_read() {
        let answer = r#"{"passages":[{"chapter":"Chapter 5","position":8,"text":"…","snippet":"**Pride**","score":26.5}],"considered":30}"#;
        let expected = Passage { chapter: "Chapter 5".into(), snippet: "**Pride**".into(), score: 26.5 };
        assert_eq!(passages(answer), Some(vec![expected]));
        assert_eq!(passages(r#"{"title":"the chain is overloaded"}"#), None);
        assert_eq!(passages(r#"{"passages":[{"chapter":"Chapter 5"}]}"#), None);
    }

    #[test]
    fn times_are_told_in_milliseconds() {
        let times = [1, 20, 3].map(|hundreds| Duration::from_micros(hundreds * 100));
        assert_eq!(listed(&times), "0.1 ms, 2.0 ms and 0.3 ms");
        assert_eq!(listed(&times[..1]), "0.1 ms");
        assert_eq!(listed(&[]), "");
    }

    #[test]
    fn long_texts_are_wrapped_at_words() {
        assert_eq!(wrapped("one two\nthree  four", 9), ["one two", "three", "four"]);
        assert_eq!(wrapped("incomprehensibilities x", 5), ["incomprehensibilities", "x"]);
        assert!(wrapped(" ", 5).is_empty());
    }
}

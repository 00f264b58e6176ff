//! What guests print, as the host's log shows it.

use serde_json::Value as Json;

use crate::harness::{Chain, FAULTY, RELAY, Served, eventually};

#[tokio::test]
async fn what_guests_print_becomes_log_lines_that_name_the_chainlet_and_the_stream() {
    let served = Chain::new(RELAY).serve();
    served.ask("print:2").await;
    served.ask("other:complain:1").await;
    for line in ["INFO first[0] stdout: line 1\n", "INFO first[0] stdout: line 2\n", "INFO second[0] stderr: line 1\n"]
    {
        served.until_log(line).await;
    }
}

#[tokio::test]
async fn a_log_for_machines_is_json_line_by_line() {
    let chain = Chain::new(FAULTY);
    let served = chain.serve_with(&["--log", "json"]);
    served.ask("print:1").await;
    served.until_log("line 1").await;
    served.public.tell("trap").await.problem(500, "trap");
    served.until_log("replica died").await;
    let log = served.log();
    let complete = log.rfind('\n').map_or("", |end| &log[..end]);
    let lines: Vec<Json> = complete
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}")))
        .collect();
    let printed = lines.iter().find(|line| line["message"] == "line 1").unwrap();
    assert_eq!((&printed["chainlet"], &printed["target"]), (&"faulty".into(), &"chainlet".into()));
}

#[tokio::test]
async fn a_guest_that_floods_its_output_is_cut_down_and_the_log_says_how_much_is_missing() {
    const FLOOD: usize = 50_000;
    let served = Chain::new(FAULTY).serve();
    served.ask(&format!("print:{FLOOD}")).await;
    // What was left out is told with the next line that goes out.
    eventually("the log says that lines are missing", async || {
        served.ask("print:1").await;
        served.log().contains("lines of output left out").then_some(())
    })
    .await;
    let shown = served.log().matches("faulty[0] stdout: line ").count();
    assert!((100..FLOOD / 2).contains(&shown), "{shown} of {FLOOD} lines are in the log");
    assert_eq!(served.ask("echo:and the server goes on").await, "and the server goes on");
}

#[tokio::test]
async fn the_log_says_only_what_it_is_asked_for() {
    let chain = Chain::new(FAULTY);
    let mut command = chain.serve_command(&[]);
    command.env("CHAINHOST_LOG", "off");
    let served = Served::start(command);
    served.ask("print:1").await;
    served.public.tell("trap").await.problem(500, "trap");
    assert_eq!(served.ask("calls").await, "1");
    assert_eq!(served.log().lines().count(), 1, "only the line that says where it is served: {}", served.log());
}

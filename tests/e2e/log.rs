//! What guests print, as the host's log shows it.

use serde_json::Value as Json;

use crate::harness::{Chain, FAULTY, RELAY, Reply, Served, eventually};

/// The id of the request that `reply` answers.
fn id(reply: &Reply) -> String {
    reply.headers["x-request-id"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_guests_print_names_the_chainlet_the_stream_and_the_request() {
    let served = Chain::new(RELAY).serve();
    let printed = id(&served.public.tell("print:2").await);
    let complained = id(&served.public.tell("other:complain:1").await);
    for line in [
        format!("INFO first[0] stdout request={printed}: line 1\n"),
        format!("INFO first[0] stdout request={printed}: line 2\n"),
        format!("INFO second[0] stderr request={complained}: line 1\n"),
    ] {
        served.until_log(&line).await;
    }
}

#[tokio::test]
async fn of_many_calls_in_a_replica_each_has_its_own_lines_and_its_end_names_all() {
    for sync in ["", "_sync"] {
        let text = FAULTY.replace("<guest_faulty>", &format!("<guest_faulty{sync}>"));
        let served = Chain::new(&text).serve();
        // An instance that is sync serves one call at a time.
        let held = if sync.is_empty() { served.hold("hold", 3, "faulty").await } else { Vec::new() };
        let calls = (0..8).map(|number| served.begin(&format!("print:{}", number + 1)));
        for (number, reply) in futures::future::join_all(calls).await.into_iter().enumerate() {
            let id = id(&reply.unwrap());
            served.until_log(&format!("faulty[0] stdout request={id}: line {}\n", number + 1)).await;
            let lines = served.log().matches(&format!("request={id}: line ")).count();
            assert_eq!(lines, number + 1, "no line has the id of another call");
        }
        let trapped = id(&served.public.tell("trap").await);
        served.until_log("replica died").await;
        let log = served.log();
        let died = log.lines().find(|line| line.contains("replica died")).unwrap();
        assert!(died.contains(&trapped), "{died}");
        for call in held {
            let held = id(&call.await.unwrap());
            assert!(died.contains(&held), "{died}");
        }
    }
}

#[tokio::test]
async fn a_log_for_machines_is_json_line_by_line() {
    let chain = Chain::new(FAULTY);
    let served = chain.serve_with(&["--log", "json"]);
    let id = id(&served.public.tell("print:1").await);
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
    assert_eq!(printed["request"], id.as_str());
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
    let shown = served.log().matches(": line ").count();
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

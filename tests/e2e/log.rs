//! The output of guests in the host's log.

use serde_json::Value as Json;

use crate::harness::{Chain, FAULTY, RELAY, Reply, Served, eventually};

/// Returns the id of the request that `reply` answers.
fn id(reply: &Reply) -> String {
    reply.headers["x-request-id"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn printed_lines_name_the_chainlet_the_stream_and_the_request() {
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
async fn each_call_has_its_own_lines_and_the_end_of_a_replica_names_all() {
    for sync in ["", "_sync"] {
        let text = FAULTY.replace("<guest_faulty>", &format!("<guest_faulty{sync}>"));
        let served = Chain::new(&text).serve();
        // A sync instance serves one call at a time.
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
    let lines = events(&served);
    let printed = lines.iter().find(|line| line["message"] == "line 1").unwrap();
    assert_eq!((&printed["chainlet"], &printed["target"]), (&"faulty".into(), &"chainlet".into()));
    assert_eq!(printed["request"], id.as_str());
    assert_eq!((&printed["stream"], &printed["replica"]), (&"stdout".into(), &0.into()));
    let ready = lines.iter().find(|line| line["message"] == "ready").unwrap();
    assert!(ready["duration_ms"].is_u64(), "{ready}");
}

/// Returns the events that a process has written to a log for machines so far.
#[track_caller]
fn events(served: &Served) -> Vec<Json> {
    let log = served.log();
    let complete = log.rfind('\n').map_or("", |end| &log[..end]);
    let parsed = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}"));
    complete.lines().map(parsed).collect()
}

/// Returns the only event whose message is `message`.
#[track_caller]
fn event(served: &Served, message: &str) -> Json {
    let mut found: Vec<_> = events(served).into_iter().filter(|event| event["message"] == message).collect();
    assert_eq!(found.len(), 1, "`{message}`: {found:#?}");
    found.remove(0)
}

#[tokio::test]
async fn an_error_has_its_origin_its_kind_and_its_limit_as_fields() {
    let chain = RELAY.replace(r#"{ chainlet = "first" }"#, r#"{ chainlet = "first", timeout = "150ms" }"#);
    let served = Chain::new(&chain).serve_with(&["--log", "json"]);
    let problem = served.public.tell("hold").await.problem(504, "deadline");
    served.until_log("a call failed").await;
    let failed = event(&served, "a call failed");
    for (field, value) in [
        ("level", "WARN"),
        ("chainlet", "first"),
        ("kind", "deadline"),
        ("path", "relay → first (as next)"),
        ("limit", "chainlets.relay.depends.next.timeout"),
        ("request", problem["request_id"].as_str().unwrap()),
        ("error", problem["detail"].as_str().unwrap()),
    ] {
        assert_eq!(failed[field], value, "{field}: {failed}");
    }
}

#[tokio::test]
async fn the_frames_of_a_trap_are_logged_once() {
    let served = Chain::new(FAULTY).serve_with(&["--log", "json"]);
    let problem = served.public.tell("panic:boom").await.problem(500, "trap");
    served.until_log("a call failed").await;
    served.until_log("replica died").await;
    let (died, failed) = (event(&served, "replica died; starting another"), event(&served, "a call failed"));
    assert!(died["backtrace"].as_str().unwrap().lines().count() > 1, "{died}");
    let with_frames = events(&served).iter().filter(|event| event.get("backtrace").is_some()).count();
    assert_eq!(with_frames, 1, "{failed}");
    for event in [&died, &failed] {
        assert_eq!((&event["chainlet"], &event["kind"]), (&"faulty".into(), &"trap".into()), "{event}");
        assert!(event["error"].as_str().unwrap().contains("boom"), "{event}");
    }
    assert_eq!((&died["replica"], &failed["request"]), (&0.into(), &problem["request_id"]));
}

#[tokio::test]
async fn a_failed_reload_is_lines_for_people_and_one_field_for_machines() {
    for (format, expected) in [
        ("pretty", "the new version does not load; the old one serves on request="),
        ("json", "\"message\":\"the new version does not load; the old one serves on\""),
    ] {
        let chain = Chain::new(FAULTY);
        let served = chain.serve_with(&["--log", format]);
        chain.write("chain.toml", Chain::filled(&format!("{FAULTY}queue = \"long\"\n")));
        served.admin.post("/reload", &Json::Null).await.problem(422, "reload-failed");
        served.until_log(expected).await;
        let (place, help) = ("chain.toml:7:9: chainlets.faulty.queue: expected", "help: write it like queue = 1024");
        if format == "json" {
            let failed = event(&served, "the new version does not load; the old one serves on");
            let lines: Vec<_> = failed["error"].as_str().unwrap().lines().collect();
            assert!(lines[0].starts_with(place) && lines.contains(&help), "{failed}");
        } else {
            for line in [format!("\n    {place}"), "\n    7 | queue = \"long\"\n".to_owned(), format!("\n    {help}\n")]
            {
                served.until_log(&line).await;
            }
        }
    }
}

#[tokio::test]
async fn numbers_and_durations_are_numbers_in_a_log_for_machines() {
    let breaker = r#"{ chainlet = "first", breaker = { failures = 1, pause = "1h" } }"#;
    let served = Chain::new(&RELAY.replace(r#"{ chainlet = "first" }"#, breaker)).serve_with(&["--log", "json"]);
    served.public.tell("trap").await.problem(500, "trap");
    let opens = "the breaker of an edge opens: calls through it are refused for a while";
    served.until_log(opens).await;
    let event = event(&served, opens);
    assert_eq!((&event["failures"], &event["pause_ms"]), (&1.into(), &3_600_000.into()), "{event}");
    assert_eq!(event["limit"], "chainlets.relay.depends.next.breaker");
}

#[tokio::test]
async fn a_flood_of_output_is_cut_and_the_log_says_how_much_is_missing() {
    const FLOOD: usize = 50_000;
    let served = Chain::new(FAULTY).serve();
    served.ask(&format!("print:{FLOOD}")).await;
    // The next line that goes out also says how many lines were left out.
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
async fn the_log_filter_can_turn_off_all_lines() {
    let chain = Chain::new(FAULTY);
    let mut command = chain.serve_command(&[]);
    command.env("CHAINHOST_LOG", "off");
    let served = Served::start(command);
    served.ask("print:1").await;
    served.public.tell("trap").await.problem(500, "trap");
    assert_eq!(served.ask("calls").await, "1");
    assert_eq!(served.log().lines().count(), 1, "only the line that says where it is served: {}", served.log());
}

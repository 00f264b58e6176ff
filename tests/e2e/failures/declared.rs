//! Errors that chainlets declare: their statuses, their origins, their repetition, and their place in the log and the
//! metrics.

use serde_json::json;

use crate::harness::{Chain, Served};

fn chain(keys: &str) -> Served {
    let chain = Chain::new(&format!(
        r#"
[chain]
name = "test"
entrypoint = "outer"
[chainlets.outer]
component = "<guest_refuser_relay>"
depends.next = "inner"
[chainlets.inner]
component = "<guest_refuser_relay>"
depends.next = {{ chainlet = "refuser", {keys} }}
[chainlets.refuser]
component = "<guest_refuser>"
"#
    ));
    let mut command = chain.serve_command(&[]);
    command.env("CHAINHOST_LOG", "debug");
    Served::start(command)
}

const STATUSES: [(&str, u16); 12] = [
    ("invalid", 400),
    ("unauthenticated", 401),
    ("forbidden", 403),
    ("not-found", 404),
    ("conflict", 409),
    ("unprocessable", 422),
    ("too-many", 429),
    ("internal", 500),
    ("unimplemented", 501),
    ("upstream", 502),
    ("unavailable", 503),
    ("timeout", 504),
];

#[tokio::test]
async fn a_standard_error_has_the_status_of_its_kind_and_says_where_it_began() {
    let served = chain("");
    for (kind, status) in STATUSES {
        let reply = served.public.tell(kind).await;
        let problem = reply.problem(status, "chainlet-error");
        assert_eq!(problem["error"]["message"], format!("it is {kind}"));
        assert_eq!(problem["chainlet"], "refuser", "{problem}");
        let path = json!([
            { "from": "outer", "dependency": "next", "to": "inner" },
            { "from": "inner", "dependency": "next", "to": "refuser" },
        ]);
        assert_eq!(problem["path"], path, "{problem}");
        assert_eq!(reply.headers.contains_key("retry-after"), matches!(status, 429 | 503), "{kind}");
    }
}

#[tokio::test]
async fn an_error_that_a_caller_makes_itself_begins_in_the_caller() {
    let served = chain("");
    let problem = served.tell("inner", "own:not-found").await.problem(409, "chainlet-error");
    assert_eq!(problem["error"]["message"], "because it is not-found");
    assert_eq!((&problem["chainlet"], &problem["path"]), (&json!("inner"), &json!([])));
}

#[tokio::test]
async fn a_declared_error_is_logged_and_counted_once_where_it_began() {
    let served = chain("");
    for (kind, level) in [("not-found", "DEBUG"), ("internal", "WARN")] {
        let reply = served.public.tell(kind).await;
        let id = reply.headers["x-request-id"].to_str().unwrap().to_owned();
        served.until_log(&format!("served request={id}")).await;
        let log = served.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains(&id) && line.contains("it is")).collect();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].contains(level) && lines[0].contains("refuser"), "{lines:#?}");
    }
    let metrics = served.admin.get("/metrics").await.text();
    for kind in ["not-found", "internal"] {
        let line = metrics
            .lines()
            .find(|line| line.starts_with("chainhost_chainlet_errors_total") && line.contains(kind))
            .unwrap_or_else(|| panic!("{kind} is not counted:\n{metrics}"));
        assert!(line.contains("refuser") && line.ends_with(" 1"), "{line}");
    }
}

#[tokio::test]
async fn an_edge_repeats_only_errors_that_are_marked_as_repeatable() {
    let once = chain("");
    once.public.tell("flaky:2").await.problem(503, "chainlet-error");
    let thrice = chain("attempts = 3");
    assert_eq!(thrice.ask("flaky:2").await, "3");
    thrice.public.tell("unavailable").await.problem(503, "chainlet-error");
    assert_eq!(thrice.ask("calls").await, "5", "an error without the mark is not repeated");
}

//! Answers that are streams, in each of their forms.

use serde_json::{Value as Json, json};

use super::{BYTES, EVENTS, JSON, LINES, RELAYED, one};
use crate::harness::{Chain, End, Event};

fn tokens(count: u32) -> Vec<Json> {
    (0..count).map(|number| json!(format!("TOKEN {number}"))).collect()
}

fn message(data: Json) -> Event {
    Event { name: "message".into(), data }
}

#[tokio::test]
async fn a_stream_is_lines_events_or_an_array_as_the_client_accepts() {
    let served = Chain::new(RELAYED).serve();
    let input = json!({ "plan": "", "count": 3 });

    for accept in [LINES, "*/*"] {
        let mut answer = served.public.stream(accept, &input).await;
        assert_eq!((answer.status.as_u16(), &answer.headers["content-type"]), (200, &LINES.parse().unwrap()));
        let mut lines = tokens(3);
        lines.push(json!({ "$end": null }));
        assert_eq!(answer.lines().await, lines);
    }

    let mut answer = served.public.stream(EVENTS, &input).await;
    assert_eq!(answer.headers["content-type"], EVENTS);
    assert_eq!(answer.headers["cache-control"], "no-cache");
    for token in tokens(3) {
        assert_eq!(answer.event().await, Ok(message(token)));
    }
    assert_eq!(answer.event().await, Ok(Event { name: "end".into(), data: Json::Null }));
    assert_eq!(answer.event().await, Err(End::Whole));

    let mut answer = served.public.stream(JSON, &input).await;
    assert_eq!(answer.headers["content-type"], JSON);
    let (bytes, end) = answer.rest().await;
    assert_eq!((serde_json::from_slice::<Json>(&bytes).unwrap(), end), (json!(tokens(3)), End::Whole));
    assert_eq!(served.public.stream(BYTES, &input).await.status, 406);
}

#[tokio::test]
async fn an_item_is_sent_as_soon_as_it_is_made() {
    let served = Chain::new(RELAYED).serve_with(&["--timeout", "1h"]);
    for accept in [LINES, EVENTS] {
        // The source makes three tokens, and then neither another token nor an end. So nothing else causes the tokens
        // to be sent.
        let mut answer = served.public.stream(accept, &json!({ "plan": "silent", "count": 3 })).await;
        for token in tokens(3) {
            match accept {
                LINES => assert_eq!(answer.line().await, Ok(token)),
                _ => assert_eq!(answer.event().await, Ok(message(token))),
            }
        }
    }
}

#[tokio::test]
async fn a_failure_in_mid_stream_is_reported_and_is_no_clean_end() {
    let served = Chain::new(RELAYED).serve();
    for plan in ["trap", "hand:hand:trap"] {
        let input = json!({ "plan": plan, "count": 2 });
        let mut lines = served.public.stream(LINES, &input).await.lines().await;
        let problem = lines.pop().unwrap()["$error"].take();
        assert_eq!(lines.len(), 2, "{plan}");
        assert_eq!((&problem["status"], &problem["chainlet"]), (&json!(500), &json!("source")), "{plan}: {problem}");
        assert_eq!(problem["type"], "urn:chainhost:problem:trap", "{plan}: {problem}");
        assert_eq!(problem["path"].as_array().unwrap().len(), 2, "{plan}: {problem}");
        // The public listener does not show the words of guests.
        assert!(!problem.to_string().contains("ran dry"), "{plan}: {problem}");

        let mut answer = served.public.stream(EVENTS, &input).await;
        answer.event().await.unwrap();
        answer.event().await.unwrap();
        let event = answer.event().await.unwrap();
        assert_eq!((event.name.as_str(), &event.data["status"]), ("error", &json!(500)), "{plan}");
        assert_eq!(answer.event().await, Err(End::Whole), "{plan}");
    }
    served.until_log("the source ran dry").await;
    let mut lines = served.public.stream(LINES, &json!({ "plan": "", "count": 2 })).await.lines().await;
    assert_eq!((lines.pop(), lines), (Some(json!({ "$end": null })), tokens(2)));
}

#[tokio::test]
async fn a_deadline_holds_for_the_whole_stream() {
    let served = Chain::new(RELAYED).serve_with(&["--timeout", "3s"]);
    let mut answer = served.public.stream(EVENTS, &json!({ "plan": "silent", "count": 1 })).await;
    assert_eq!(answer.event().await.unwrap().name, "message");
    let event = answer.event().await.unwrap();
    assert_eq!((event.name.as_str(), &event.data["status"]), ("error", &json!(504)), "{}", event.data);
    let echo = Chain::new(&one("guest_stream_echo")).serve_with(&["--timeout", "3s"]);
    let (mut upload, answer) = echo.public.upload(BYTES).await;
    let (mut answer, sent) = tokio::join!(answer, upload.send("abc"));
    assert!(sent);
    // A stream of bytes can report an error only by the end of the connection.
    assert_eq!(answer.rest().await, (b"abc".to_vec(), End::BrokenOff));
}

#[tokio::test]
async fn a_result_beside_a_stream_comes_at_its_end() {
    let served = Chain::new(&one("guest_stream_report")).serve();
    let row = |number: u32, name: Json| json!({ "number": number, "square": number * number, "name": name });
    let numbers = |lines: &[Json]| lines.iter().map(|row| row["number"].as_u64().unwrap()).collect::<Vec<_>>();

    let mut lines = served.public.stream(LINES, &json!({ "count": 3 })).await.lines().await;
    assert_eq!(lines.pop().unwrap(), json!({ "$end": 3 }));
    assert_eq!(numbers(&lines), [0, 1, 2]);
    assert_eq!(lines[2]["name"], row(2, json!("row 2"))["name"]);

    let mut lines = served.public.stream(LINES, &json!({ "count": 2, "fail": "out of ink" })).await.lines().await;
    let problem = lines.pop().unwrap()["$error"].take();
    assert_eq!((&problem["status"], &problem["error"]), (&json!(422), &json!("out of ink")));
    assert_eq!(numbers(&lines), [0, 1]);

    let mut answer = served.public.stream(EVENTS, &json!({ "count": 1 })).await;
    answer.event().await.unwrap();
    assert_eq!(answer.event().await, Ok(Event { name: "end".into(), data: json!(1) }));

    // An error before the first item is an ordinary answer.
    let answer = served.public.stream(LINES, &json!({ "count": 0 })).await;
    assert_eq!(answer.status, 422);
}

#[tokio::test]
async fn the_openapi_document_describes_streams() {
    let served = Chain::new(&one("guest_stream_sum")).serve();
    let document = served.public.get("/openapi.json").await.json();
    let content = &document["paths"]["/run_remote"]["post"]["requestBody"]["content"];
    let point = json!({ "$ref": "#/components/schemas/Point" });
    assert_eq!(content[LINES]["x-item-schema"], point, "{content}");
    assert!(document["components"]["schemas"]["Point"]["properties"]["score"].is_object(), "{document}");
    assert!(content[LINES]["x-first-line-schema"]["properties"]["scale"].is_object(), "{content}");
    assert_eq!(document["paths"]["/run_remote"]["get"], Json::Null, "a chain that returns no stream has no WebSocket");
    let served = Chain::new(&one("guest_stream_report")).serve();
    let document = served.public.get("/openapi.json").await.json();
    let content = &document["paths"]["/run_remote"]["post"]["responses"]["200"]["content"];
    let item = content[EVENTS]["x-item-schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
    assert!(document["components"]["schemas"][item]["properties"]["square"].is_object(), "{document}");
    let served = Chain::new(&one("guest_stream_echo")).serve();
    let document = served.public.get("/openapi.json").await.json();
    assert!(document["paths"]["/run_remote"]["get"]["responses"]["101"].is_object());
}

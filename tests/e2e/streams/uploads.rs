//! Bodies that are read while the call goes on.

use serde_json::{Value as Json, json};

use super::{BYTES, JSON, LINES, RELAYED, one};
use crate::harness::{Answer, Chain, End, Reply, json_request};

async fn json_of(mut answer: Answer) -> Json {
    let (bytes, end) = answer.rest().await;
    assert_eq!(end, End::Whole);
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn bytes_come_back_before_the_last_are_sent() {
    let served = Chain::new(&one("guest_stream_echo")).serve();
    let (mut upload, answer) = served.public.upload(BYTES).await;
    let (mut answer, sent) = tokio::join!(answer, upload.send("first"));
    assert!(sent);
    assert_eq!(answer.headers["content-type"], BYTES);
    assert_eq!(answer.piece().await.unwrap(), "first");
    assert!(upload.send("second").await);
    assert_eq!(answer.piece().await.unwrap(), "second");
    drop(upload);
    assert_eq!(answer.piece().await, Err(End::Whole));
}

#[tokio::test]
async fn many_bytes_come_back_unchanged() {
    let served = Chain::new(&one("guest_stream_echo")).serve();
    let piece: Vec<u8> = (0..1_000_003_u32).map(|number| (number % 251) as u8).collect();
    let (mut upload, answer) = served.public.upload(BYTES).await;
    let sending = async {
        for _ in 0..20 {
            assert!(upload.send(piece.clone()).await);
        }
        drop(upload);
    };
    let receiving = async {
        let (bytes, end) = answer.await.rest().await;
        assert_eq!((bytes.len(), end), (20 * piece.len(), End::Whole));
        assert!(bytes.chunks(piece.len()).all(|chunk| chunk == piece));
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn items_come_in_lines_after_the_other_parameters() {
    let served = Chain::new(&one("guest_stream_sum")).serve();
    let (mut upload, answer) = served.public.upload(LINES).await;
    let sending = async {
        assert!(upload.send("{\"scale\": 2}\n{\"id\": 1, \"score\"").await);
        assert!(upload.send(": 0.5}\n\n{\"id\": 2, \"score\": 1}\n{\"id\": 3, \"score\": 1}").await);
        drop(upload);
    };
    let (answer, ()) = tokio::join!(answer, sending);
    assert_eq!(json_of(answer).await, json!({ "count": 3, "score": 5.0 }));
}

#[tokio::test]
async fn the_error_for_a_line_that_does_not_fit_names_the_line() {
    let served = Chain::new(&one("guest_stream_sum")).serve();
    let cases = [
        ("{\"scale\": 2}\n{\"id\": 1, \"score\": 0.5}\n{\"id\": -1, \"score\": 0.5}\n", "in line 3 of the body", "/id"),
        ("{\"scale\": 2}\nnonsense\n", "in line 2 of the body", ""),
        ("{\"scale\": \"x\"}\n", "in line 1 of the body", "/scale"),
        ("{\"id\": 1, \"score\": 0.5}\n", "in line 1 of the body", "/id"),
        ("", "the body is empty", ""),
    ];
    for (body, detail, pointer) in cases {
        let (mut upload, answer) = served.public.upload(LINES).await;
        let sending = async {
            upload.send(body).await;
            drop(upload);
        };
        let (answer, ()) = tokio::join!(answer, sending);
        assert_eq!(answer.status, 400, "{body}");
        let problem = json_of(answer).await;
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{body}: {problem}");
        assert_eq!(problem["pointer"], pointer, "{body}: {problem}");
    }
}

#[tokio::test]
async fn an_answer_may_come_before_the_end_of_the_body() {
    let served = Chain::new(&one("guest_stream_sum")).serve();
    let (mut upload, answer) = served.public.upload(LINES).await;
    let (answer, sent) = tokio::join!(answer, upload.send("{\"scale\": 2}\n{\"id\": 13, \"score\": 0.5}\n"));
    assert!(sent);
    assert_eq!(answer.status, 422);
    assert_eq!(json_of(answer).await["error"], "13 brings bad luck");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_end_of_the_stream() {
    let served = Chain::new(&one("guest_stream_sum")).serve();
    let (mut upload, answer) = served.public.upload(LINES).await;
    {
        let mut answer = Box::pin(answer);
        let mut sent = Box::pin(upload.send("{\"scale\": 2}\n{\"id\": 1, \"score\": 0.5}\n"));
        tokio::select! {
            _ = answer.as_mut() => panic!("there is an answer"),
            sent = sent.as_mut() => assert!(sent),
        }
        served.until_state("only", "active", json!(1)).await;
        // The end of this block cuts the connection.
    }
    served.until_state("only", "active", json!(0)).await;
    let metrics = served.admin.get("/metrics").await.text();
    let ended = served.public.call(&json!({ "points": [], "scale": -1 })).await.json();
    assert_eq!(ended["count"], 0, "the guest saw the cut as the end of the stream");
    // The host sees first either that the body broke off or that the client has left. Neither gives a 200.
    assert!(!metrics.contains("route=\"/run_remote\",status=\"200\""), "{metrics}");
}

#[tokio::test]
async fn streams_go_over_http_2_as_well() {
    let served = Chain::new(RELAYED).serve();
    let mut connection = served.public.http2().await.unwrap();
    let path = format!("http://{}/run_remote", served.public.0);
    let request = json_request(&path, json!({ "plan": "", "count": 2 }).to_string());
    let reply = Reply::read(connection.send_request(request).await.unwrap()).await;
    assert_eq!(reply.text(), "\"TOKEN 0\"\n\"TOKEN 1\"\n{\"$end\":null}\n");
    // A stream that is not read to its end ends its producer.
    let request = json_request(&path, json!({ "plan": "endless", "count": 0 }).to_string());
    let answer = connection.send_request(request).await.unwrap();
    served.until_state("source", "active", json!(1)).await;
    drop(answer);
    served.until_state("source", "active", json!(0)).await;
}

#[tokio::test]
async fn over_http_1_0_bytes_are_sent_whole_with_their_length() {
    let served = Chain::new(&one("guest_stream_echo")).serve();
    let mut request = http::Request::post("/run_remote").body(http_body_util::Full::from("abc")).unwrap();
    *request.version_mut() = http::Version::HTTP_10;
    request.headers_mut().insert("content-type", BYTES.parse().unwrap());
    let reply = served.public.send(request).await;
    assert_eq!((reply.text().as_str(), &reply.headers["content-length"]), ("abc", &"3".parse().unwrap()));
}

#[tokio::test]
async fn a_chain_without_a_stream_parameter_refuses_lines() {
    let served = Chain::hello().serve();
    let (_upload, answer) = served.public.upload(LINES).await;
    let answer = answer.await;
    assert_eq!(answer.status, 415);
    let problem = json_of(answer).await;
    assert!(problem["detail"].as_str().unwrap().contains(JSON), "{problem}");
}

#[tokio::test]
async fn an_upload_with_a_wrong_first_item_is_a_400_and_keeps_no_place() {
    let served = Chain::new(&format!("{}grace = \"60s\"\n", one("guest_stream_scale"))).serve();
    for number in 0..40 {
        let (mut upload, answer) = served.public.upload(LINES).await;
        let sending = async move {
            // The client sends the head alone first, or all of it at once.
            if number % 2 == 0 {
                tokio::task::yield_now().await;
            }
            upload.send("{\"factor\": 2}\nno item\n").await;
        };
        let (answer, ()) = tokio::join!(answer, sending);
        assert_eq!(answer.status, 400, "upload {number}");
    }
    served.until_state("only", "active", json!(0)).await;
}

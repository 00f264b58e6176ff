//! A small chain, called in each possible way.

use http::{Request, Version};
use serde_json::{Value as Json, json};

use crate::harness::{Chain, Reply, Served, json_request, repository};

#[tokio::test]
async fn a_served_chain_answers_through_every_hop() {
    let served = Chain::hello().serve();
    let reply = served.public.call(&json!({ "names": ["Ada", "Grace", "Alan"] })).await;
    assert_eq!(reply.json(), json!(["Hello, Ada!", "Hello, Grace!", "Hello, Alan!"]));
    assert_eq!(served.public.call(&json!({ "names": [] })).await.json(), json!([]));
}

#[tokio::test]
async fn the_chain_of_the_example_is_served_as_it_is_in_the_repository() {
    let example = repository().join("examples/hello");
    let chain = Chain::new("");
    let mut command = chain.serve_command(&[]);
    // The command keeps its ports and environment, and runs in another folder.
    command.current_dir(example);
    let served = Served::start(command);
    assert_eq!(served.public.call(&json!({ "names": ["Ada"] })).await.json(), json!(["Hello, Ada!"]));
}

#[test]
fn call_gives_the_same_answer_without_http() {
    let finished = Chain::hello().run(&["call", "chain.toml", r#"{"names": ["Ada"]}"#]);
    assert_eq!(finished.answer(), "[\"Hello, Ada!\"]\n");
    assert_eq!(finished.stderr, "");
}

#[test]
fn check_prints_who_calls_whom_with_wit_signatures() {
    let chain = Chain::hello();
    let finished = chain.run(&["check", "chain.toml"]);
    let text = finished.answer();
    for part in [
        "chain hello: 2 chainlets, 1 edge",
        "hello-all (entrypoint)\n└─ say-hello\n",
        "async func(names: list<string>) -> result<list<string>, string>",
        "async func(name: string) -> result<string, string>",
    ] {
        assert!(text.contains(part), "nothing says `{part}`:\n{text}");
    }
    let json: Json = serde_json::from_str(chain.run(&["check", "chain.toml", "--json"]).answer()).unwrap();
    assert_eq!(json["entrypoint"], "hello-all");
    assert_eq!(json["chainlets"][1]["calls"][0]["chainlet"], "say-hello");
}

#[tokio::test]
async fn the_openapi_document_is_valid_and_has_the_docs_of_the_wit() {
    let served = Chain::hello().serve();
    let document = served.public.get("/openapi.json").await.json();
    let schema = std::fs::read(repository().join("tests/openapi/schema-3.1.json")).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_slice::<Json>(&schema).unwrap()).unwrap();
    let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert_eq!(document["info"]["title"], "hello");
    let post = &document["paths"]["/run_remote"]["post"];
    assert_eq!(post["description"], "A greeting for each person, in the order of the names.");
    let input = &post["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(input["properties"]["names"]["items"]["type"], "string");
    for path in ["/healthz", "/readyz", "/openapi.json"] {
        assert!(document["paths"][path]["get"].is_object(), "{path} is not described");
    }
}

#[tokio::test]
async fn the_openapi_document_of_the_admin_is_valid_and_describes_the_state() {
    let served = Chain::hello().serve();
    let document = served.admin.get("/openapi.json").await.json();
    let schema = std::fs::read(repository().join("tests/openapi/schema-3.1.json")).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_slice::<Json>(&schema).unwrap()).unwrap();
    let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    for name in ["say-hello", "hello-all"] {
        let post = &document["paths"][format!("/chainlets/{name}/run_remote")]["post"];
        assert_eq!(post["operationId"], format!("run_remote_of_{}", name.replace('-', "_")));
        assert!(post["requestBody"]["content"]["application/json"]["example"].is_object(), "{post}");
    }
    let state = served.admin.get("/chain").await.json();
    let schema = jsonschema::validator_for(&document["components"]["schemas"]["ChainState"]).unwrap();
    let errors: Vec<_> = schema.iter_errors(&state).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?} in {state}");
}

#[tokio::test]
async fn a_served_chain_is_alive_and_ready() {
    let served = Chain::hello().serve();
    for endpoint in [served.public, served.admin] {
        assert_eq!(endpoint.get("/healthz").await.json(), json!({ "status": "alive" }));
        assert_eq!(endpoint.get("/readyz").await.json(), json!({ "status": "ready" }));
    }
}

#[tokio::test]
async fn a_request_keeps_its_id_and_gets_one_if_it_has_none() {
    let served = Chain::hello().serve();
    let asked = |id: Option<&str>| {
        let mut request = json_request("/run_remote", r#"{"names": ["Ada"]}"#);
        if let Some(id) = id {
            request.headers_mut().insert("x-request-id", id.parse().unwrap());
        }
        served.public.send(request)
    };
    let id = |reply: &Reply| reply.headers["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(id(&asked(Some("mine-17")).await), "mine-17");
    let (one, other) = (id(&asked(None).await), id(&asked(None).await));
    assert!(one.len() >= 16 && one != other, "{one} and {other}");
    let replaced = id(&asked(Some("<script> not an id")).await);
    assert!(!replaced.contains(['<', ' ']), "{replaced}");
}

#[tokio::test]
async fn many_requests_go_over_one_connection_of_http_1() {
    let served = Chain::hello().serve();
    let mut sender = served.public.http1().await.unwrap();
    for name in ["Ada", "Grace", "Alan"] {
        let request = json_request("/run_remote", json!({ "names": [name] }).to_string());
        sender.ready().await.unwrap();
        let reply = Reply::read(sender.send_request(request).await.unwrap()).await;
        assert_eq!(reply.version, Version::HTTP_11);
        assert_eq!(reply.json(), json!([format!("Hello, {name}!")]));
    }
}

#[tokio::test]
async fn many_requests_at_once_go_over_one_connection_of_http_2() {
    let served = Chain::hello().serve();
    let sender = served.public.http2().await.unwrap();
    let calls = (0..20).map(|number| {
        let mut sender = sender.clone();
        let uri = format!("http://{}/run_remote", served.public.0);
        let request = json_request(&uri, json!({ "names": [number.to_string()] }).to_string());
        async move { Reply::read(sender.send_request(request).await.unwrap()).await }
    });
    for (number, reply) in futures::future::join_all(calls).await.into_iter().enumerate() {
        assert_eq!(reply.version, Version::HTTP_2);
        assert_eq!(reply.json(), json!([format!("Hello, {number}!")]));
    }
}

#[tokio::test]
async fn the_typed_error_of_a_dependency_that_its_caller_passes_on_is_a_422() {
    let served = Chain::hello().serve();
    let problem = served.public.call(&json!({ "names": ["Ada", " "] })).await.problem(422, "chainlet-error");
    assert_eq!(problem["error"], "there is no one to greet: the name is empty");
    assert_eq!(problem["chainlet"], "say-hello");
}

#[tokio::test]
async fn the_admin_listener_shows_metrics_and_the_state_and_calls_any_chainlet() {
    let served = Chain::hello().serve();
    served.public.call(&json!({ "names": ["Ada"] })).await.json();
    let metrics = served.admin.get("/metrics").await.text();
    assert!(metrics.contains(r#"chainhost_http_requests_total{route="/run_remote",status="200"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"chainhost_chainlet_replicas_ready{chainlet="say-hello"} 1"#), "{metrics}");
    let state = served.admin.get("/chain").await.json();
    assert_eq!((&state["name"], &state["ready"]), (&json!("hello"), &json!(true)));
    let reply = served.admin.post("/chainlets/say-hello/run_remote", &json!({ "name": "Ada" })).await;
    assert_eq!(reply.json(), "Hello, Ada!");
    let problem = served.admin.post("/chainlets/nobody/run_remote", &json!({})).await.problem(404, "not-found");
    assert!(problem["detail"].as_str().unwrap().contains("say-hello"), "{problem}");
}

#[tokio::test]
async fn the_routes_for_admins_are_not_public() {
    let served = Chain::hello().serve();
    for path in ["/metrics", "/chain"] {
        served.public.get(path).await.problem(404, "not-found");
    }
    let call = Request::post("/chainlets/say-hello/run_remote").body(Default::default()).unwrap();
    served.public.send(call).await.problem(404, "not-found");
}

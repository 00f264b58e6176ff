//! The library: another program loads and calls chains.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use chainhost::chain::{CallOptions, Chain, LoadError};
use chainhost::config::{
    ByteSize, Canary, ChainSpec, ChainletSpec, ConfigErrors, DependencySpec, Replicas, Resources, Rollout, Secret,
    SecretStore,
};
use chainhost::error::ErrorKind;
use chainhost::host::Host;
use chainhost::live::{LiveChain, ReloadError};
use serde::Serialize;
use serde_json::{Value as Json, json};
use tower::ServiceExt;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::harness::{self, Endpoint, component, json_request, kept, repository};

/// The parameters of `faulty`, as a Rust type.
#[derive(Serialize)]
struct Order {
    what: &'static str,
}

fn host() -> Host {
    Host::builder().code_cache(kept("cache").join("chainhost/code")).build().unwrap()
}

fn hello() -> ChainSpec {
    ChainSpec::builder("hello")
        .chainlet("say-hello", ChainletSpec::builder(component("say_hello")).setting("greeting", "Salut"))
        .chainlet("hello-all", ChainletSpec::builder(component("hello_all")).depends("say-hello", "say-hello"))
        .build()
        .unwrap()
}

async fn faulty() -> Chain {
    let spec = ChainSpec::builder("test").chainlet("faulty", ChainletSpec::builder(component("guest_faulty")));
    host().load(&spec.build().unwrap()).await.unwrap()
}

fn within(timeout: Duration) -> CallOptions {
    let mut options = CallOptions::default();
    options.timeout = Some(timeout);
    options
}

#[tokio::test]
async fn a_chain_that_is_built_in_code_is_called_with_rust_types() {
    #[derive(Serialize)]
    struct Names {
        names: [&'static str; 2],
    }
    let chain = host().load(&hello()).await.unwrap();
    let names = Names { names: ["Ada", "Alan"] };
    let greetings: Vec<String> = chain.call(&names, CallOptions::default()).await.unwrap();
    assert_eq!(greetings, ["Salut, Ada!", "Salut, Alan!"]);
    assert_eq!((chain.name(), chain.entrypoint().as_str(), chain.is_ready()), ("hello", "hello-all", true));
    chain.stop(Duration::ZERO).await;
    let error = chain.call::<Json>(&names, CallOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stopping);
}

#[tokio::test]
async fn a_chain_in_a_file_is_called_with_json() {
    let chain = host().load_file(repository().join("examples/hello/chain.toml")).await.unwrap();
    let answer = chain.call_json(br#"{"names": ["Ada"]}"#, CallOptions::default()).await.unwrap();
    assert_eq!(answer, br#"["Hello, Ada!"]"#);
    let answer = chain.chainlet("say-hello").unwrap().call_json(br#"{"name": "Ada"}"#, CallOptions::default()).await;
    assert_eq!(answer.unwrap(), br#""Hello, Ada!""#);
    assert!(chain.chainlet("nobody").is_none());
}

#[tokio::test]
async fn a_component_may_come_from_memory_and_one_host_runs_many_chains() {
    let bytes = std::fs::read(component("guest_faulty")).unwrap();
    let host = host();
    let mut chains = Vec::new();
    for name in ["one", "two"] {
        let spec = ChainSpec::builder(name).chainlet("faulty", ChainletSpec::builder(bytes.clone())).build().unwrap();
        chains.push(host.load(&spec).await.unwrap());
    }
    for (chain, who) in chains.iter().zip(["one/faulty/0/development", "two/faulty/0/development"]) {
        assert_eq!(chain.call::<String>(&Order { what: "who" }, CallOptions::default()).await.unwrap(), who);
    }
    chains[0].call::<String>(&Order { what: "trap" }, CallOptions::default()).await.unwrap_err();
    assert_eq!(chains[1].call::<String>(&Order { what: "calls" }, CallOptions::default()).await.unwrap(), "2");
}

#[tokio::test]
async fn every_failure_has_its_kind_its_chainlet_and_its_path() {
    let edge = |to: &str| {
        let mut edge = DependencySpec::default();
        edge.chainlet = Some(to.parse().unwrap());
        edge
    };
    let spec = ChainSpec::builder("test")
        .chainlet(
            "relay",
            ChainletSpec::builder(component("guest_relay")).edge("next", edge("faulty")).edge("other", edge("faulty")),
        )
        .chainlet("faulty", ChainletSpec::builder(component("guest_faulty")).replicas(Replicas::exactly(2)))
        .build()
        .unwrap();
    let chain = host().load(&spec).await.unwrap();
    let call = async |what| chain.call::<String>(&Order { what }, within(Duration::from_secs(60))).await.unwrap_err();

    let error = call("trap").await;
    assert_eq!((error.kind(), error.chainlet().as_str()), (ErrorKind::Trap, "faulty"));
    assert_eq!(error.path().map(ToString::to_string).collect::<Vec<_>>(), ["relay → faulty (as next)"]);
    assert!(error.backtrace().is_some(), "the error has the frames of the guest");
    let error = call("err:not today").await;
    assert_eq!(error.kind(), ErrorKind::Chainlet);
    assert_eq!(error.guest_error().unwrap().get(), r#""not today""#);
    let error = chain.call::<String>(&Order { what: "hold" }, within(Duration::from_millis(50))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    let error = chain.call::<String>(&json!({ "what": 5 }), CallOptions::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.pointer()), (ErrorKind::InvalidInput, Some("/what")));
    chain.call::<u32>(&Order { what: "who" }, CallOptions::default()).await.unwrap_err();
}

#[tokio::test]
async fn the_error_of_a_chain_that_does_not_load_names_the_reason() {
    let spec = ChainSpec::builder("test").chainlet("a", ChainletSpec::builder("no-such.wasm")).build().unwrap();
    match host().load(&spec).await {
        Err(LoadError::Config(errors)) => {
            assert!(errors.to_string().starts_with("chainlets.a.component: "), "{errors}")
        }
        other => panic!("{:?}", other.err()),
    }
    let builder = ChainletSpec::builder(component("guest_faulty")).setting("init", "err:no");
    let spec = ChainSpec::builder("test").chainlet("a", builder).build().unwrap();
    match host().load(&spec).await {
        Err(LoadError::Start(error)) => assert_eq!(error.kind(), ErrorKind::NotReady),
        other => panic!("{:?}", other.err()),
    }
}

#[tokio::test]
async fn secrets_come_from_a_source_that_the_program_chooses() -> Result<(), ConfigErrors> {
    let store = SecretStore::from_environment_and_file(|name| (name == "token").then(|| "from my vault".into()), None)?;
    let host = Host::builder().code_cache(kept("cache").join("chainhost/code")).secrets(store).build().unwrap();
    let builder = ChainletSpec::builder(component("guest_faulty")).secret("token");
    let chain = host.load(&ChainSpec::builder("test").chainlet("faulty", builder).build()?).await.unwrap();
    let told: String = chain.call(&Order { what: "secret:token" }, CallOptions::default()).await.unwrap();
    assert_eq!(told, "from my vault");
    assert_eq!(format!("{:?}", Secret::from(told)), "Secret(…)");
    Ok(())
}

#[tokio::test]
async fn an_axum_app_mounts_a_chain_beside_its_own_routes() {
    let chain = host().load(&hello()).await.unwrap();
    let app = Router::new()
        .route("/about", get(async || "mine"))
        .nest("/greetings", chainhost::server::router(chain, Default::default()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint(listener.local_addr().unwrap());
    let server = tokio::spawn(async { axum::serve(listener, app).await });

    let input = json!({ "names": ["Ada"] });
    assert_eq!(endpoint.post("/greetings/run_remote", &input).await.json(), json!(["Salut, Ada!"]));
    let problem = endpoint.post("/greetings/run_remote", &json!({ "names": 1 })).await.problem(400, "invalid-input");
    assert_eq!(problem["pointer"], "/names");
    assert_eq!(endpoint.get("/greetings/readyz").await.json(), json!({ "status": "ready" }));
    assert_eq!(endpoint.get("/about").await.text(), "mine");
    let elsewhere = endpoint.get("/elsewhere").await;
    assert_eq!((elsewhere.status.as_u16(), elsewhere.text().as_str()), (404, ""), "other paths belong to the app");
    server.abort();
}

#[tokio::test]
async fn a_chain_is_a_tower_service() {
    let router = chainhost::server::router(faulty().await, Default::default());
    let response = router.oneshot(json_request("/run_remote", r#"{"what": "echo:x"}"#)).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    assert_eq!(body, "\"x\"");
}

#[tokio::test]
async fn a_stop_waits_for_calls_in_flight_up_to_its_limit() {
    let chain = faulty().await;
    let held = tokio::spawn({
        let chain = chain.clone();
        async move { chain.call::<String>(&Order { what: "hold" }, CallOptions::default()).await }
    });
    let tell = async |what| chain.call::<String>(&Order { what }, CallOptions::default()).await;
    harness::eventually("the call is held", async || (tell("held").await.unwrap() == "1").then_some(())).await;
    let stop = chain.stop(Duration::from_millis(50));
    stop.await;
    let error = held.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stopping);
}

#[tokio::test]
async fn a_guests_fault_is_an_error_of_its_kind_and_a_new_instance_follows() {
    for guest in ["guest_faulty", "guest_faulty_sync"] {
        let mut resources = Resources::default();
        resources.memory = ByteSize::mib(16);
        let spec = ChainSpec::builder("test").chainlet(
            "faulty",
            ChainletSpec::builder(component(guest)).resources(resources).grace(Duration::from_millis(300)),
        );
        let chain = host().load(&spec.build().unwrap()).await.unwrap();
        let call = async |what, options| chain.call::<String>(&Order { what }, options).await;
        for (what, cause) in [
            ("trap", "unreachable"),
            ("panic:it hurts", "it hurts"),
            ("exit:1", "exited with status 1"),
            ("overflow", "stack overflowed"),
            ("hoard", "refused memory"),
            ("leak", "it holds 4096"),
        ] {
            let error = call(what, CallOptions::default()).await.unwrap_err();
            assert_eq!((error.kind(), error.chainlet().as_str()), (ErrorKind::Trap, "faulty"), "{what}: {error}");
            assert!(error.message().contains(cause), "{what}: {error}");
            assert_eq!(call("inits", CallOptions::default()).await.unwrap(), "1");
            assert_eq!(call("calls", CallOptions::default()).await.unwrap(), "2", "{what}: the instance is new");
        }
        for what in ["spin", "block:3600000"] {
            let error = call(what, within(Duration::from_millis(100))).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Deadline, "{what}: {error}");
            assert_eq!(call("echo:x", CallOptions::default()).await.unwrap(), "x", "{what}");
        }
        let error = call("err:no", CallOptions::default()).await.unwrap_err();
        assert_eq!((error.kind(), error.guest_error().unwrap().get()), (ErrorKind::Chainlet, "\"no\""));
    }
}

#[tokio::test]
async fn a_stop_answers_the_calls_that_wait_in_line() {
    for guest in ["guest_faulty", "guest_faulty_sync"] {
        let spec =
            ChainSpec::builder("test").chainlet("faulty", ChainletSpec::builder(component(guest)).concurrency(1));
        let chain = host().load(&spec.build().unwrap()).await.unwrap();
        let calls: Vec<_> = (0..4)
            .map(|_| {
                let chain = chain.clone();
                let call = async move { chain.call::<String>(&Order { what: "spin" }, CallOptions::default()).await };
                tokio::spawn(call)
            })
            .collect();
        let busy = |chain: &Chain| chain.status().any(|(_, status)| status.active == 1 && status.waiting == 3);
        harness::eventually("one call runs and three wait", async || busy(&chain).then_some(())).await;
        chain.stop(Duration::ZERO).await;
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Stopping);
        }
    }
}

#[tokio::test]
async fn a_live_chain_takes_a_new_version_and_old_calls_keep_the_old_one() {
    let version = async |version: &str| {
        let builder = ChainletSpec::builder(component("guest_faulty")).setting("version", version);
        host().load(&ChainSpec::builder("test").chainlet("faulty", builder).build().unwrap()).await.unwrap()
    };
    let ask = async |chain: &Chain, what| chain.call::<String>(&Order { what }, CallOptions::default()).await.unwrap();
    let live = LiveChain::new(version("one").await);
    assert!(matches!(live.reload().await, Err(ReloadError::NoSource)));
    let before = live.begin();
    assert_eq!(ask(&before, "setting:version").await, "\"one\"");

    let replaced = live.replace(version("two").await, Rollout::Atomic).await.unwrap();
    assert_eq!((replaced.version, replaced.on_trial), (2, false));
    assert_eq!(ask(&live.begin(), "setting:version").await, "\"two\"");
    assert_eq!(ask(&before, "calls").await, "2", "the old version keeps the calls that it began");
    drop(before);

    let mut canary = Canary::default();
    (canary.share, canary.trial) = (0.5, Duration::from_millis(300));
    assert!(live.replace(version("three").await, Rollout::Canary(canary)).await.unwrap().on_trial);
    assert_eq!((live.version(), live.on_trial()), (2, Some((3, 0.5))));
    harness::eventually("the trial is over", async || (live.version() == 3).then_some(())).await;
    assert_eq!(ask(&live.begin(), "setting:version").await, "\"three\"");
    live.stop(Duration::from_secs(1)).await;
    let refused = live.replace(version("four").await, Rollout::Atomic).await;
    assert!(matches!(refused, Err(ReloadError::Stopping)));
}

#[tokio::test]
async fn a_canary_whose_calls_trap_gives_way_without_a_server() {
    let chain = host().load(&hello()).await.unwrap();
    let live = LiveChain::new(chain);
    let mut canary = Canary::default();
    (canary.share, canary.trial) = (0.999, Duration::from_millis(500));
    assert!(live.replace(faulty().await, Rollout::Canary(canary)).await.unwrap().on_trial);
    let trapped = harness::eventually("a call of the new version has trapped", async || {
        let called = live.call::<serde_json::Value>(&Order { what: "trap" }, CallOptions::default()).await;
        called.err().filter(|error| error.kind() == ErrorKind::Trap)
    });
    trapped.await;
    harness::eventually("the trial is over", async || live.on_trial().is_none().then_some(())).await;
    assert_eq!(live.version(), 1, "more calls of the new version failed");
    live.stop(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn a_stream_keeps_its_version_until_it_ends() {
    let builder = ChainletSpec::builder(component("guest_stream_source"));
    let spec = ChainSpec::builder("test").chainlet("source", builder).build().unwrap();
    let live = LiveChain::new(host().load(&spec).await.unwrap());
    let mut items = live
        .stream::<serde_json::Value>(&json!({ "plan": "at-once", "count": 3 }), CallOptions::default())
        .await
        .unwrap();
    live.replace(faulty().await, Rollout::Atomic).await.unwrap();
    let mut count = 0;
    while let Some(item) = futures::StreamExt::next(&mut items).await {
        item.unwrap();
        count += 1;
    }
    assert_eq!(count, 3);
    live.stop(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_rust_type_is_the_callers_mistake() {
    let error = faulty().await.call::<u32>(&Order { what: "echo:x" }, CallOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("the answer cannot be read as u32"), "{error}");
}

#[tokio::test]
async fn a_call_without_a_deadline_does_not_hang_behind_an_endless_call() {
    let builder = ChainletSpec::builder(component("guest_faulty")).grace(Duration::from_millis(300));
    let chain = host().load(&ChainSpec::builder("test").chainlet("faulty", builder).build().unwrap()).await.unwrap();
    let held = tokio::spawn({
        let chain = chain.clone();
        async move { chain.call::<String>(&Order { what: "hold" }, CallOptions::default()).await }
    });
    let tell = async |what| chain.call::<String>(&Order { what }, CallOptions::default()).await;
    harness::eventually("the call is held", async || (tell("held").await.unwrap() == "1").then_some(())).await;
    let error = chain.call::<String>(&Order { what: "spin" }, within(Duration::from_millis(50))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    let error = held.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Trap);
    assert!(error.message().contains("did not return to its event loop"), "{error}");
    assert_eq!(tell("calls").await.unwrap(), "1", "another instance has taken over");
}

/// The name of a span, the name of its parent, and its fields as text.
type Seen = (String, Option<String>, String);

/// A layer that keeps all spans.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Seen>>>);

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                self.0.push_str(&format!("{field}={value:?} "));
            }
        }
        let mut text = Text(String::new());
        attributes.record(&mut text);
        let parent = context.span(id).and_then(|span| Some(span.parent()?.name().to_owned()));
        self.0.lock().unwrap().push((attributes.metadata().name().to_owned(), parent, text.0));
    }
}

#[tokio::test]
async fn a_subscriber_sees_calls_and_edges_as_spans_inside_its_own_span() {
    let spans = Spans::default();
    let filter = Targets::new().with_target("chainhost", tracing::Level::DEBUG);
    // The subscriber is for the whole process, because guests run on the host's own threads.
    let subscriber = tracing_subscriber::registry().with(filter).with(spans.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let chain = host().load(&hello()).await.unwrap();
    let mine = tracing::info_span!(target: "chainhost", "mine");
    let options = CallOptions::default().request_id("the-request");
    let call = async { chain.call::<Vec<String>>(&json!({ "names": ["Ada"] }), options).await };
    let greetings = tracing::Instrument::instrument(call, mine).await.unwrap();
    assert_eq!(greetings, ["Salut, Ada!"]);

    let spans = spans.0.lock().unwrap().clone();
    let has = |name: &str, parent: Option<&str>, fields: &[&str]| {
        let fits = |(of, above, text): &&Seen| {
            of == name && above.as_deref() == parent && fields.iter().all(|field| text.contains(field))
        };
        assert!(spans.iter().any(|span| fits(&span)), "{name} in {parent:?} with {fields:?}: {spans:?}");
    };
    has("start", None, &["chainlet=say-hello", "replica=0"]);
    has("call", Some("mine"), &["chainlet=hello-all", "request=\"the-request\""]);
    has("edge", Some("call"), &["edge=hello-all → say-hello"]);
    has("call", Some("edge"), &["chainlet=say-hello", "request=\"the-request\""]);
}

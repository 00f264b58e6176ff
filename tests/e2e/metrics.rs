//! The metrics, as scrapers read them: in Prometheus' text format and in OpenMetrics.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use http::{Request, header};

use crate::harness::{Chain, RELAY, Reply, Served};

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The header `Accept` that Prometheus sends.
const SCRAPER: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

async fn scrape(served: &Served, accept: Option<&str>) -> Reply {
    let mut request = Request::get("/metrics").body(Default::default()).unwrap();
    if let Some(accept) = accept {
        request.headers_mut().insert(header::ACCEPT, accept.parse().unwrap());
    }
    served.admin.send(request).await
}

/// Serves a chain that has answered, failed and refused something.
async fn busy() -> Served {
    let served = Chain::new(RELAY).serve();
    served.ask("echo:x").await;
    served.public.tell("err:no").await.problem(422, "chainlet-error");
    served.public.tell("trap").await.problem(500, "trap");
    served
}

/// A metric family, as its lines describe it.
#[derive(Debug, Default, PartialEq)]
struct Family {
    help: String,
    kind: String,
    unit: Option<String>,
    /// The samples, by name and labels.
    samples: BTreeMap<String, f64>,
}

/// Returns the families of `text`, after checking the rules that both formats have.
#[track_caller]
fn families(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    assert!(text.ends_with('\n'), "the last line has no end");
    for line in text.lines().filter(|line| *line != "# EOF") {
        let Some(description) = line.strip_prefix("# ") else {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            let name = series.split('{').next().unwrap();
            let suffix = name.strip_prefix(&current).unwrap_or_else(|| panic!("{line} is not of {current}"));
            let family = families.get_mut(&current).unwrap();
            let fits = match family.kind.as_str() {
                "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
                "counter" => name.ends_with("_total"),
                "info" => suffix == "_info",
                "gauge" => suffix.is_empty(),
                kind => panic!("{current} is a {kind}"),
            };
            assert!(fits, "{line} is no sample of a {}", family.kind);
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            assert_eq!(family.samples.insert(series.to_owned(), value), None, "twice: {series}");
            continue;
        };
        let mut words = description.splitn(3, ' ');
        let (what, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        assert!(name.starts_with("chainhost_"), "{line}");
        if what == "HELP" {
            assert!(!families.contains_key(name), "described twice: {name}");
            assert!(rest.ends_with('.') && !rest.ends_with(".."), "{line}");
            current = name.to_owned();
        }
        assert_eq!(name, current, "{line}");
        let family = families.entry(current.clone()).or_default();
        match what {
            "HELP" => family.help = rest.to_owned(),
            "TYPE" => family.kind = rest.to_owned(),
            "UNIT" => family.unit = Some(rest.to_owned()),
            other => panic!("{other}: {line}"),
        }
    }
    for (name, Family { kind, samples, .. }) in &families {
        assert!(!kind.is_empty(), "{name} has no type");
        if kind == "histogram" {
            let infinite: f64 =
                samples.iter().filter(|(series, _)| series.contains("+Inf")).map(|(_, value)| value).sum();
            let counted: f64 =
                samples.iter().filter(|(series, _)| series.contains("_count")).map(|(_, value)| value).sum();
            assert_eq!(infinite, counted, "{name}");
        }
    }
    families
}

/// Returns the names of the samples, which must not depend on the format.
fn series(families: &BTreeMap<String, Family>) -> BTreeSet<&str> {
    families.values().flat_map(|family| family.samples.keys().map(String::as_str)).collect()
}

#[tokio::test]
async fn the_metrics_come_in_the_format_that_the_scraper_prefers() {
    let served = Chain::new(RELAY).serve();
    for (accept, content_type) in [
        (None, PROMETHEUS),
        (Some("*/*"), PROMETHEUS),
        (Some("text/plain; version=0.0.4"), PROMETHEUS),
        (Some("application/openmetrics-text"), OPEN_METRICS),
        (Some(SCRAPER), OPEN_METRICS),
        (Some("application/openmetrics-text;q=0.4,text/plain;q=0.5"), PROMETHEUS),
    ] {
        let reply = scrape(&served, accept).await;
        assert_eq!(reply.status, 200, "{accept:?}");
        assert_eq!(reply.headers[header::CONTENT_TYPE], content_type, "{accept:?}");
        assert_eq!(reply.text().contains("# EOF"), content_type == OPEN_METRICS);
    }
    let problem = scrape(&served, Some("text/html")).await.problem(406, "not-acceptable");
    assert!(problem["detail"].as_str().unwrap().contains("text/plain; version=0.0.4"), "{problem}");
}

#[tokio::test]
async fn both_formats_keep_their_rules_and_have_the_same_contents() {
    let served = busy().await;
    let (first, second) = (scrape(&served, None).await.text(), scrape(&served, Some(SCRAPER)).await.text());
    let (prometheus, open) = (families(&first), families(&second));

    assert!(second.ends_with("# EOF\n") && second.matches("# EOF").count() == 1, "{second}");
    assert!(prometheus.values().all(|family| family.unit.is_none()), "{first}");
    for (name, Family { unit, .. }) in &open {
        let ending = ["bytes", "seconds"].into_iter().find(|unit| name.ends_with(&format!("_{unit}")));
        assert_eq!(unit.as_deref(), ending, "{name}");
    }
    for (name, Family { kind, help, .. }) in &open {
        let (own, own_kind) = match kind.as_str() {
            "counter" => (format!("{name}_total"), "counter"),
            "info" => (format!("{name}_info"), "gauge"),
            kind => (name.clone(), kind),
        };
        let family = prometheus.get(&own).unwrap_or_else(|| panic!("{own} is not in\n{first}"));
        assert_eq!((family.kind.as_str(), &family.help), (own_kind, help));
    }
    assert_eq!(prometheus.len(), open.len());
    // The second scrape counts the first, so the series of this route differ.
    let scraped = r#"chainhost_http_request"#;
    let others = |name: &&str| !(name.starts_with(scraped) && name.contains("/metrics"));
    let (one, other) = (series(&prometheus), series(&open));
    assert_eq!(
        one.iter().copied().filter(others).collect::<Vec<_>>(),
        other.iter().copied().filter(others).collect::<Vec<_>>()
    );
}

/// Checks the metrics with Prometheus' own tool, if the machine has it.
#[tokio::test]
async fn promtool_finds_nothing_wrong_with_the_metrics() {
    let tool = std::env::var_os("PROMTOOL").unwrap_or_else(|| "promtool".into());
    let check = Command::new(tool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut check) = check else { return };
    let served = busy().await;
    let metrics = scrape(&served, Some("text/plain")).await;
    check.stdin.take().unwrap().write_all(&metrics.body).unwrap();
    let output = check.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

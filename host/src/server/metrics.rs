//! The metrics of `GET /metrics`: counts of requests, and the state of the chainlets at the moment of the scrape.

mod exposition;

use std::fmt;
use std::time::{Duration, Instant};

use chainhost_core::capability::Measure;
use chainhost_core::chain::Chain;
use chainhost_core::chainlet::Status;
use chainhost_core::live::LiveChain;
use chainhost_core::memory::MemoryBudget;
use http::StatusCode;
use indexmap::IndexMap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric, LabelValueEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub(super) use self::exposition::Exposition;
use super::{Audience, Http};

/// The status that counts a request whose client left before its answer. nginx uses the same number.
const CLIENT_LEFT: u16 = 499;
/// The upper bounds of the buckets for the time of a request, in seconds.
const BUCKETS: [f64; 16] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// The path that a request asks for. The list is fixed, so clients cannot make more labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Route {
    RunRemote,
    OpenApi,
    Healthz,
    Readyz,
    Metrics,
    Chain,
    Chainlet,
    Reload,
    Other,
}

/// The metrics of requests and connections.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    connections: Gauge,
    refused: Counter,
}

/// Counts a connection as open until it is dropped.
pub(super) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: Route,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: Route,
}

/// A request in flight. If it is dropped before its answer, it counts as a request whose client left.
pub(super) struct RequestInFlight {
    http: Http,
    route: Route,
    at: Instant,
    status: u16,
}

impl Route {
    pub(super) fn of(audience: Audience, path: &str) -> Self {
        match (audience, path) {
            (Audience::Public, "/run_remote") => Route::RunRemote,
            (_, "/openapi.json") => Route::OpenApi,
            (_, "/healthz") => Route::Healthz,
            (_, "/readyz") => Route::Readyz,
            (Audience::Admin, "/metrics") => Route::Metrics,
            (Audience::Admin, "/chain") => Route::Chain,
            (Audience::Admin, "/reload") => Route::Reload,
            (Audience::Admin, path) if path.starts_with("/chainlets/") => Route::Chainlet,
            _ => Route::Other,
        }
    }
}

impl EncodeLabelValue for Route {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        let text = match self {
            Route::RunRemote => "/run_remote",
            Route::OpenApi => "/openapi.json",
            Route::Healthz => "/healthz",
            Route::Readyz => "/readyz",
            Route::Metrics => "/metrics",
            Route::Chain => "/chain",
            Route::Reload => "/reload",
            Route::Chainlet => "/chainlets/{name}/run_remote",
            Route::Other => "other",
        };
        EncodeLabelValue::encode(&text, encoder)
    }
}

impl Metrics {
    pub(super) fn new(chain: LiveChain) -> Self {
        let mut registry = Registry::with_prefix("chainhost");
        let requests = Family::default();
        let seconds: Family<RouteLabels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let in_flight = Gauge::default();
        registry.register(
            "http_requests",
            "Requests answered, by route and status; 499 where the client left first",
            requests.clone(),
        );
        registry.register_with_unit(
            "http_request_duration",
            "From a request's head to its answer, or to the end of a stream",
            Unit::Seconds,
            seconds.clone(),
        );
        registry.register(
            "http_requests_in_flight",
            "Requests that have no answer yet, or whose answer is a stream that has not ended",
            in_flight.clone(),
        );
        let (connections, refused) = (Gauge::default(), Counter::default());
        registry.register("http_connections", "Open connections of all listeners", connections.clone());
        registry.register(
            "http_connections_refused",
            "Connections that came when all places were taken",
            refused.clone(),
        );
        let about = [("version", env!("CARGO_PKG_VERSION").to_owned()), ("chain", chain.current().name().to_owned())];
        registry.register("build", "The version of chainhost, and the chain that it runs", Info::new(about.to_vec()));
        registry.register_collector(Box::new(ChainletCollector(chain)));
        Metrics { registry, requests, seconds, in_flight, connections, refused }
    }

    /// Counts a connection as open.
    pub(super) fn connection_opened(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }

    /// Counts a connection that found no place.
    pub(super) fn connection_refused(&self) {
        self.refused.inc();
    }

    /// Counts a request whose head was rejected with `status`.
    pub(super) fn head_refused(&self, status: StatusCode) {
        self.requests.get_or_create(&RequestLabels { route: Route::Other, status: status.as_u16() }).inc();
    }

    /// Returns all metrics as text.
    pub(super) fn text(&self, exposition: Exposition) -> Result<String, fmt::Error> {
        exposition.write(&self.registry)
    }
}

impl RequestInFlight {
    /// Counts a request as in flight.
    pub(super) fn new(http: Http, route: Route) -> Self {
        http.0.metrics.in_flight.inc();
        RequestInFlight { http, route, at: Instant::now(), status: CLIENT_LEFT }
    }

    /// Returns the time for which the request has been in flight.
    pub(super) fn elapsed(&self) -> Duration {
        self.at.elapsed()
    }

    /// Marks the request as answered completely, and returns the time that it took.
    pub(super) fn answered(mut self, status: StatusCode) -> Duration {
        self.status = status.as_u16();
        self.at.elapsed()
    }
}

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        let RequestInFlight { http, route, at, status } = self;
        let (metrics, route, status) = (&http.0.metrics, *route, *status);
        metrics.in_flight.dec();
        metrics.requests.get_or_create(&RequestLabels { route, status }).inc();
        metrics.seconds.get_or_create(&RouteLabels { route }).observe(at.elapsed().as_secs_f64());
    }
}

/// The state of the chainlets, read at each scrape.
struct ChainletCollector(LiveChain);

impl fmt::Debug for ChainletCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChainletCollector").field(&self.0.current().name()).finish()
    }
}

/// Reads one number out of a chainlet's status.
type StatusGauge = fn(&Status) -> usize;

impl Collector for ChainletCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let gauges: [(&str, &str, StatusGauge); 3] = [
            ("chainlet_replicas_ready", "Replicas that take calls.", |status| status.ready),
            ("chainlet_calls_active", "Calls in flight in all replicas.", |status| status.active),
            ("chainlet_calls_waiting", "Calls that wait for a replica.", |status| status.waiting),
        ];
        ConstGauge::new(i64::try_from(self.0.version()).unwrap_or(i64::MAX)).encode(encoder.encode_descriptor(
            "chain_version",
            "How many versions of the chain there have been; it rises with each reload.",
            None,
            MetricType::Gauge,
        )?)?;
        let chain = self.0.current();
        for (name, help, reading) in gauges {
            let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (chainlet, status) in chain.status() {
                let labels = [("chainlet", chainlet.as_str())];
                ConstGauge::new(i64::try_from(reading(&status)).unwrap_or(i64::MAX))
                    .encode(gauge.encode_family(&labels)?)?;
            }
        }
        let help = "Calls that ended with an error which the chainlet declares, counted where it began; `other` is of \
                    no standard kind.";
        let mut errors = encoder.encode_descriptor("chainlet_errors", help, None, MetricType::Counter)?;
        for (chainlet, kind, count) in chain.errors() {
            let labels = [("chainlet", chainlet.as_str()), ("kind", kind)];
            ConstCounter::new(count).encode(errors.encode_family(&labels)?)?;
        }
        encode_memory(chain.memory(), &mut encoder)?;
        encode_capabilities(&chain, &mut encoder)
    }
}

/// Writes the bytes that the host holds for guests, clients and peers, and their limit.
fn encode_memory(memory: &MemoryBudget, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let gauges = [
        ("memory_reserved", "Bytes held for requests, calls, streams and answers.", memory.reserved()),
        ("memory_limit", "How many bytes may be held for requests, calls, streams and answers.", memory.limit()),
    ];
    for (name, help, bytes) in gauges {
        let gauge = encoder.encode_descriptor(name, help, Some(&Unit::Bytes), MetricType::Gauge)?;
        ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX)).encode(gauge)?;
    }
    let help = "Requests, calls and answers refused since there was no room for their bytes.";
    ConstCounter::new(memory.refusals()).encode(encoder.encode_descriptor(
        "memory_refusals",
        help,
        None,
        MetricType::Counter,
    )?)
}

/// Encodes the metrics of capabilities. All chainlets with the same metric make one family.
fn encode_capabilities(chain: &Chain, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let mut families: IndexMap<String, Vec<(&str, Measure)>> = IndexMap::new();
    for (chainlet, capability, measure) in chain.measures() {
        let name = format!("chainlet_{}_{}", capability.replace('-', "_"), measure.name);
        families.entry(name).or_default().push((chainlet.as_str(), measure));
    }
    for (name, measures) in families {
        let Some((_, first)) = measures.first() else { continue };
        let unit = first.unit.map(Unit::from);
        let kind = first.value.kind();
        let mut family = encoder.encode_descriptor(&name, first.help, unit.as_ref(), kind)?;
        for (chainlet, measure) in measures {
            // A family is of one type. A capability that breaks its contract loses the metric, not the whole page.
            if measure.value.kind().as_str() == kind.as_str() {
                measure.value.encode(family.encode_family(&[("chainlet", chainlet)])?)?;
            }
        }
    }
    Ok(())
}

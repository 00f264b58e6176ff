//! The two text formats of metrics, and the choice of one for a scrape.
//!
//! The crate prometheus-client writes only OpenMetrics. Prometheus' own format differs only in the lines that describe
//! the samples: it describes a counter under the name of its samples, it has fewer types, and it has neither units nor
//! an end.

use std::fmt::{self, Write};

use http::HeaderMap;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::server::format::best;

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Exposition {
    /// <https://prometheus.io/docs/instrumenting/exposition_formats/>. Every scraper and every tool reads it.
    Prometheus,
    /// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
    OpenMetrics,
}

impl Exposition {
    /// All formats, the usual one first.
    pub(in crate::server) const ALL: [Exposition; 2] = [Exposition::Prometheus, Exposition::OpenMetrics];

    /// Returns the format that the client prefers, as `headers` say, or `None` if it accepts neither.
    pub(in crate::server) fn asked_for(headers: &HeaderMap) -> Option<Self> {
        best(headers, Self::ALL.map(|exposition| (exposition, exposition.media_type())))
    }

    /// Returns the media type as the header `Accept` may name it.
    pub(in crate::server) fn media_type(self) -> &'static str {
        match self {
            Exposition::Prometheus => "text/plain; version=0.0.4",
            Exposition::OpenMetrics => "application/openmetrics-text; version=1.0.0",
        }
    }

    /// Returns the value of the header `Content-Type`.
    pub(in crate::server) fn content_type(self) -> &'static str {
        match self {
            Exposition::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Exposition::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Writes all metrics of `registry`.
    pub(super) fn write(self, registry: &Registry) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, registry)?;
        match self {
            Exposition::Prometheus => prometheus(&text),
            Exposition::OpenMetrics => Ok(text),
        }
    }
}

/// Converts `metrics` from the format of OpenMetrics to that of Prometheus.
fn prometheus(metrics: &str) -> Result<String, fmt::Error> {
    let mut text = String::with_capacity(metrics.len());
    // The help comes before the type, but its name depends on the type. So it waits for the type.
    let mut help = None;
    for line in metrics.lines() {
        let Some(description) = line.strip_prefix("# ") else {
            writeln!(text, "{line}")?;
            continue;
        };
        let mut words = description.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("HELP"), Some(_), said) => help = said,
            (Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    kind => ("", kind),
                };
                if let Some(help) = help.take() {
                    writeln!(text, "# HELP {name}{suffix} {help}")?;
                }
                writeln!(text, "# TYPE {name}{suffix} {kind}")?;
            }
            // Prometheus has no units and no end.
            _ => {}
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use http::header;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::metrics::info::Info;
    use prometheus_client::registry::Unit;

    use super::*;

    fn asked(accept: &str) -> Option<Exposition> {
        Exposition::asked_for(&HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]))
    }

    #[test]
    fn a_scrape_gets_the_format_that_it_prefers() {
        use Exposition::{OpenMetrics, Prometheus};
        assert_eq!(Exposition::asked_for(&HeaderMap::new()), Some(Prometheus));
        for (accept, expected) in [
            ("*/*", Some(Prometheus)),
            ("text/plain", Some(Prometheus)),
            ("text/plain; version=0.0.4", Some(Prometheus)),
            ("application/openmetrics-text", Some(OpenMetrics)),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", Some(OpenMetrics)),
            ("text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0", Some(OpenMetrics)),
            ("application/openmetrics-text;q=0.2, text/plain;q=0.3", Some(Prometheus)),
            // Prometheus 2 and 3 send these headers.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Some(OpenMetrics),
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Some(OpenMetrics),
            ),
            ("text/plain;version=1.0.0, text/plain;version=0.0.4;q=0.5", Some(Prometheus)),
            ("application/openmetrics-text;version=0.0.1", None),
            ("application/json", None),
            ("text/plain;q=0", None),
        ] {
            assert_eq!(asked(accept), expected, "{accept}");
        }
    }

    #[test]
    fn prometheus_gets_its_own_names_and_types_and_no_units() {
        let mut registry = Registry::with_prefix("host");
        registry.register("calls", "Calls", Counter::<u64>::default());
        registry.register_with_unit("held", "What is held", Unit::Bytes, Gauge::<i64>::default());
        registry.register("build", "What it is", Info::new([("version", "1.0")]));
        let open = "# HELP host_calls Calls.\n# TYPE host_calls counter\nhost_calls_total 0\n\
            # HELP host_held_bytes What is held.\n# TYPE host_held_bytes gauge\n# UNIT host_held_bytes bytes\n\
            host_held_bytes 0\n\
            # HELP host_build What it is.\n# TYPE host_build info\nhost_build_info{version=\"1.0\"} 1\n# EOF\n";
        assert_eq!(Exposition::OpenMetrics.write(&registry).unwrap(), open);
        let own = "# HELP host_calls_total Calls.\n# TYPE host_calls_total counter\nhost_calls_total 0\n\
            # HELP host_held_bytes What is held.\n# TYPE host_held_bytes gauge\nhost_held_bytes 0\n\
            # HELP host_build_info What it is.\n# TYPE host_build_info gauge\n\
            host_build_info{version=\"1.0\"} 1\n";
        assert_eq!(Exposition::Prometheus.write(&registry).unwrap(), own);
    }
}

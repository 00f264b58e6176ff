//! Metrics of capabilities.

use std::fmt;

use prometheus_client::encoding::{EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

/// The value of one metric of a capability, for one chainlet.
///
/// The host writes it to `GET /metrics` as `chainhost_chainlet_CAPABILITY_NAME`, with the chainlet as a label.
#[derive(Debug)]
#[must_use = "a capability returns its measures to the host"]
pub struct Measure {
    #[doc(hidden)]
    pub name: &'static str,
    #[doc(hidden)]
    pub help: &'static str,
    #[doc(hidden)]
    pub unit: Option<MeasureUnit>,
    #[doc(hidden)]
    pub value: MeasureValue,
}

/// The unit of a [`Measure`]. It is a part of the metric's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MeasureUnit {
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

impl From<MeasureUnit> for Unit {
    fn from(unit: MeasureUnit) -> Self {
        match unit {
            MeasureUnit::Bytes => Unit::Bytes,
            MeasureUnit::Seconds => Unit::Seconds,
        }
    }
}

/// A value by its kind.
#[derive(Debug)]
#[doc(hidden)]
pub enum MeasureValue {
    Counter(u64),
    Gauge(i64),
    Histogram(Histogram),
}

impl MeasureValue {
    pub fn kind(&self) -> MetricType {
        match self {
            MeasureValue::Counter(_) => MetricType::Counter,
            MeasureValue::Gauge(_) => MetricType::Gauge,
            MeasureValue::Histogram(_) => MetricType::Histogram,
        }
    }

    pub fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        match self {
            MeasureValue::Counter(count) => ConstCounter::new(*count).encode(encoder),
            MeasureValue::Gauge(value) => ConstGauge::new(*value).encode(encoder),
            MeasureValue::Histogram(histogram) => histogram.encode(encoder),
        }
    }
}

impl Measure {
    /// Makes a counter: a number that only rises. `name` is lowercase words joined by underscores, without a unit and
    /// without `_total`; `help` is one sentence.
    pub const fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Measure { name, help, unit: None, value: MeasureValue::Counter(value) }
    }

    /// Makes a gauge: a number that rises and falls. The names are as those of a counter.
    pub const fn gauge(name: &'static str, help: &'static str, value: i64) -> Self {
        Measure { name, help, unit: None, value: MeasureValue::Gauge(value) }
    }

    /// Makes a histogram. The names are as those of a counter.
    pub(crate) const fn histogram(name: &'static str, help: &'static str, value: Histogram) -> Self {
        Measure { name, help, unit: None, value: MeasureValue::Histogram(value) }
    }

    /// Sets the unit.
    pub const fn unit(mut self, unit: MeasureUnit) -> Self {
        self.unit = Some(unit);
        self
    }
}

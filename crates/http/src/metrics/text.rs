//! The Prometheus text format, version 0.0.4.
//!
//! It is written here because it is a line a sample. The crates for it keep registries of counters, where all numbers
//! are read here when somebody asks, or write OpenMetrics.

use std::fmt::Write as _;

/// What the format is called.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The labels of a sample, as they stand between its name and its value. Of none by default.
#[derive(Debug, Default)]
pub(super) struct Labels(String);

impl Labels {
    /// With these names, which are written as they are, and values, which may be anything.
    pub(super) fn new(pairs: &[(&str, &str)]) -> Self {
        let pair = |(name, value): &(&str, &str)| format!("{name}=\"{}\"", escape(value));
        let pairs: Vec<String> = pairs.iter().map(pair).collect();
        Self(format!("{{{}}}", pairs.join(",")))
    }
}

/// Nothing but these would end a value, or a line, before its time.
fn escape(value: &str) -> String {
    value
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

/// Metrics, one family after the other.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// A number that goes up and down, without labels. One that is not known is left out.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Into<Option<f64>>) {
        let none = Labels::default();
        self.gauges(name, help, value.into().map(|value| (&none, value)));
    }

    /// Numbers that go up and down, one for each set of labels.
    pub(super) fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (&'a Labels, f64)>,
    ) {
        self.family(name, "gauge", help, samples);
    }

    /// A number that only grows until the server ends, without labels. Its name ends with `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.counters(name, help, [(&Labels::default(), value)]);
    }

    /// Numbers that only grow, one for each set of labels.
    pub(super) fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (&'a Labels, u64)>,
    ) {
        let samples = samples.into_iter().map(|(labels, value)| (labels, value as f64));
        self.family(name, "counter", help, samples);
    }

    /// A family without a sample is left out.
    fn family<'a>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (&'a Labels, f64)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        // Writing to a string cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (Labels(labels), value) in samples {
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }

    /// The page as it goes out.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

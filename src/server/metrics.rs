//! Samples → a Prometheus recorder → the text that `/metrics` serves.
//!
//! Looking a metric up by name and labels costs microseconds, so each one's handle is looked up once and kept.
//! The recorder is our own, not the process's global one: nothing else writes to it, and tests have theirs.
//! The store's own numbers are made into samples here, since it is part of the shell.

use crate::server::store::{Numbers, QUEUE_LIMIT};
use crate::stats::{Kind, Sample};
use metrics::{Counter, Gauge, Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use std::collections::BTreeMap;

const SOURCE: Metadata<'static> = Metadata::new("tierline", Level::INFO, None);

/// What `/metrics` shows. A series stays once it has been published.
pub struct Exported {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    series: BTreeMap<(&'static str, Labels), Series>,
}

type Labels = Vec<(&'static str, String)>;

enum Series {
    Counter(Counter),
    Gauge(Gauge),
}

impl Default for Exported {
    fn default() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        Exported { handle: recorder.handle(), recorder, series: BTreeMap::new() }
    }
}

impl Exported {
    /// Sets each series to the value of its sample.
    pub fn publish(&mut self, samples: impl IntoIterator<Item = Sample>) {
        for sample in samples {
            let value = sample.value;
            let recorder = &self.recorder;
            let series = self
                .series
                .entry((sample.name, sample.labels))
                .or_insert_with_key(|(name, labels)| register(recorder, name, sample.help, sample.kind, labels));
            match series {
                Series::Counter(counter) => counter.absolute(value as u64),
                Series::Gauge(gauge) => gauge.set(value),
            }
        }
    }

    /// The text format of Prometheus, version 0.0.4.
    pub fn render(&self) -> String {
        self.handle.render()
    }
}

fn register(
    recorder: &PrometheusRecorder,
    name: &'static str,
    help: &'static str,
    kind: Kind,
    labels: &[(&'static str, String)],
) -> Series {
    let labels: Vec<Label> = labels.iter().map(|(key, value)| Label::new(*key, value.clone())).collect();
    let key = Key::from_parts(name, labels);
    match kind {
        Kind::Counter => {
            recorder.describe_counter(KeyName::from_const_str(name), None, help.into());
            Series::Counter(recorder.register_counter(&key, &SOURCE))
        }
        Kind::Gauge => {
            recorder.describe_gauge(KeyName::from_const_str(name), None, help.into());
            Series::Gauge(recorder.register_gauge(&key, &SOURCE))
        }
    }
}

/// The numbers of the event log.
pub fn of_store(numbers: Numbers, healthy: bool) -> [Sample; 7] {
    let Numbers { queued, commits, failures, lost, committed_seq } = numbers;
    let counter = |name, help, value| Sample::counter(name, help, &[], value);
    let gauge = |name, help, value| Sample::gauge(name, help, &[], value);
    let flag = f64::from(u8::from(healthy));
    [
        gauge("tierline_log_healthy", "1 while new calls may be taken as far as the event log goes.", flag),
        gauge("tierline_log_queued_events", "Events that wait in memory to be written.", queued as f64),
        gauge("tierline_log_queue_limit_events", "From here on no new calls are taken.", QUEUE_LIMIT as f64),
        gauge("tierline_log_committed_seq", "Number of the last event that is safe on disk.", committed_seq as f64),
        counter("tierline_log_commits_total", "Groups of events written.", commits),
        counter("tierline_log_failures_total", "Groups that had to be written again.", failures),
        counter("tierline_log_lost_events_total", "Events that are not in the log.", lost),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_rendered_and_follow_their_values() {
        let mut exported = Exported::default();
        let label = |value: &str| [("queue", value.to_string())];
        let samples = |n| {
            [
                Sample::counter("tierline_x_total", "Counts x.", &label("sales"), n),
                Sample::counter("tierline_x_total", "Counts x.", &label("a \"b\"\n"), 2 * n),
                Sample::gauge("tierline_y_ratio", "Is y.", &[], n as f64 / 2.0),
            ]
        };
        exported.publish(samples(1));
        exported.publish(samples(3));
        let text = exported.render();
        for line in [
            "# HELP tierline_x_total Counts x.",
            "# TYPE tierline_x_total counter",
            "tierline_x_total{queue=\"sales\"} 3",
            r#"tierline_x_total{queue="a \"b\"\n"} 6"#,
            "# TYPE tierline_y_ratio gauge",
            "tierline_y_ratio 1.5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert_eq!(text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count(), 3, "{text}");
    }

    #[test]
    fn the_log_s_numbers_are_exported() {
        let mut exported = Exported::default();
        let numbers = Numbers { queued: 5, commits: 7, failures: 1, lost: 2, committed_seq: 900 };
        exported.publish(of_store(numbers, true));
        let text = exported.render();
        for line in ["tierline_log_healthy 1", "tierline_log_lost_events_total 2", "tierline_log_committed_seq 900"] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}

//! Samples → the text that `/metrics` serves, version 0.0.4 of Prometheus' format.
//!
//! The words of the format are `metrics-exporter-prometheus`'; the values are our folds' and machines'. Its recorder is
//! not used: a histogram there has to be told each value one by one, and ours are counted where things happen.

use crate::stats::{Kind, Sample, Value, all};
use metrics_exporter_prometheus::formatting::{sanitize_label_value, write_help_line, write_type_line};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The text, in the order of the table of families.
pub fn render(samples: &[Sample]) -> String {
    let mut by_name: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        by_name.entry(sample.family.name).or_default().push(sample);
    }
    let mut text = String::new();
    for family in all() {
        let Some(samples) = by_name.get(family.name) else { continue };
        write_help_line(&mut text, family.name, None, None, family.help);
        write_type_line(&mut text, family.name, None, None, family.kind.name());
        samples.iter().for_each(|sample| write_sample(&mut text, sample));
    }
    text
}

fn write_sample(text: &mut String, sample: &Sample) {
    let name = sample.family.name;
    match (&sample.value, sample.family.kind) {
        (Value::Spread { up_to, count, sum }, Kind::Histogram(bounds)) => {
            for (bound, n) in bounds.iter().zip(up_to) {
                line(text, name, "_bucket", sample, Some(&bound.to_string()), &n);
            }
            line(text, name, "_bucket", sample, Some("+Inf"), count);
            line(text, name, "_sum", sample, None, sum);
            line(text, name, "_count", sample, None, count);
        }
        (Value::Number(value), _) => line(text, name, "", sample, None, value),
        (Value::Spread { .. }, _) => unreachable!("{name} is spread, and is no histogram"),
    }
}

fn line(text: &mut String, name: &str, suffix: &str, sample: &Sample, le: Option<&str>, value: &dyn std::fmt::Display) {
    let own = sample.family.labels.iter().copied().zip(sample.labels.iter().map(String::as_str));
    let labels: Vec<String> = own
        .chain(le.map(|le| ("le", le)))
        .map(|(key, value)| format!("{key}=\"{}\"", sanitize_label_value(value)))
        .collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    _ = writeln!(text, "{name}{suffix}{labels} {value}"); // a String takes everything
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::families as f;
    use std::time::Duration;

    #[test]
    fn samples_are_rendered_by_family_and_escaped() {
        let spread = Value::Spread { up_to: vec![0, 1, 2, 2, 2], count: 3, sum: 0.125 };
        let samples = [
            f::QUEUE_OFFERED.count(["sales"], 3),
            f::MEDIA_JITTER.series(["0"], spread),
            f::QUEUE_OFFERED.count(["a \"b\"\n"], 6),
            f::LOG_HEALTHY.flag([], true),
            f::QUEUE_LEVEL.sample(["sales", "A_T/A"], 0.5),
        ];
        let text = render(&samples);
        for line in [
            "# HELP tierline_queue_offered_total Callers who began to wait.",
            "# TYPE tierline_queue_offered_total counter",
            "tierline_queue_offered_total{queue=\"sales\"} 3",
            r#"tierline_queue_offered_total{queue="a \"b\"\n"} 6"#,
            "tierline_queue_service_level_ratio{queue=\"sales\",formula=\"A_T/A\"} 0.5",
            "# TYPE tierline_media_leg_jitter_seconds histogram",
            "tierline_media_leg_jitter_seconds_bucket{plane=\"0\",le=\"0.01\"} 1",
            "tierline_media_leg_jitter_seconds_bucket{plane=\"0\",le=\"+Inf\"} 3",
            "tierline_media_leg_jitter_seconds_sum{plane=\"0\"} 0.125",
            "tierline_media_leg_jitter_seconds_count{plane=\"0\"} 3",
            "tierline_log_healthy 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert_eq!(text.matches("# HELP").count(), 4, "{text}");
    }

    #[test]
    fn what_happened_once_is_in_the_histogram_s_buckets() {
        let mut times = crate::stats::Times::default();
        times.add(&f::QUEUE_WAIT, Duration::from_secs(4000));
        let text = render(&[times.sample(&f::QUEUE_WAIT, ["sales", "answered"])]);
        let value = |le: &str| text.lines().find(|l| l.contains(&format!("le=\"{le}\""))).unwrap().ends_with(" 1");
        assert!(!value("3600") && value("7200") && value("+Inf"), "{text}");
    }
}

//! Numbers for an operator, as Prometheus reads them.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use isorun_runtime::InstanceCounts;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::Runtime;
use crate::actors::DeadLetterReason;
use crate::actors::status::LivingNumbers;

/// Where the buckets of `isorun_call_seconds` end, in seconds: from what a loopback takes to the default deadline.
const SECONDS: [f64; 16] = [
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
];

/// The numbers of this process: calls, connections and instances.
///
/// Links and connections take their places among the numbers when they are made, so [`install`](Self::install) comes
/// first. `docs/operating.md` lists all names. Whoever has a recorder of their own for the `metrics` crate installs that
/// instead: all but the numbers of instances go there, and those are [`InstanceHandle::counts`](crate::InstanceHandle::counts).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use isorun::{Metrics, Runtime};
/// # let bytes = wat::parse_str("(component)")?;
///
/// let metrics = Metrics::install()?;
/// let runtime = Runtime::new()?;
/// runtime.builder(&runtime.load(bytes)?).register_as("idle").instantiate().await?;
/// let text = metrics.render(&runtime);
/// assert!(text.contains("isorun_instance_calls_total{instance=\"idle\",outcome=\"results\"} 0\n"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

/// Why numbers can't be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// The process has a recorder already.
    #[error("the numbers of this process go elsewhere already")]
    Installed(#[source] BuildError),
}

impl Metrics {
    /// Keeps the numbers of this process from now on.
    ///
    /// # Errors
    /// [`MetricsError::Installed`]: this or another recorder was installed before.
    pub fn install() -> Result<Self, MetricsError> {
        let builder = PrometheusBuilder::new();
        let builder = builder.set_buckets_for_metric(Matcher::Full("isorun_call_seconds".into()), &SECONDS);
        let handle = builder.and_then(PrometheusBuilder::install_recorder).map_err(MetricsError::Installed)?;
        describe();
        Ok(Self { handle })
    }

    /// All numbers in Prometheus' text format: those of the process, of the instances that `runtime` has under names, and of
    /// the components that live there.
    #[must_use]
    pub fn render(&self, runtime: &Runtime) -> String {
        let mut text = self.handle.render();
        let named = runtime.shared.registry.handles();
        let counts: Vec<_> = named.iter().map(|(name, handle)| (name.as_str(), handle.counts())).collect();
        write_instances(&mut text, &counts);
        if let Some(living) = runtime.shared.registry.living() {
            write_living(&mut text, &living.numbers());
        }
        text
    }

    /// Sorts the times of calls into their buckets, which [`render`](Self::render) does too.
    ///
    /// Until then each takes eight bytes: where nobody renders, somebody calls this once a second or so.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn describe() {
    describe_counter!("isorun_calls_total", "Calls over connections that ended, by how they did");
    describe_counter!("isorun_call_failures_total", "Calls over connections that failed, by the kind of failure");
    describe_gauge!("isorun_calls_in_flight", "Calls over connections that have not ended");
    describe_histogram!("isorun_call_seconds", Unit::Seconds, "How long calls over connections took");
    describe_counter!("isorun_call_argument_bytes_total", Unit::Bytes, "Packed arguments of calls");
    describe_counter!("isorun_call_result_bytes_total", Unit::Bytes, "Packed results of calls");
    describe_counter!("isorun_call_fuel_total", "Fuel that calls spent, with all that they called");
    describe_counter!("isorun_binds_total", "Binds that ended, by how they did");
    describe_gauge!("isorun_connections", "Connections now, by who opened them and their state");
    describe_counter!("isorun_connections_opened_total", "Connections on which both ends said hello");
    describe_counter!("isorun_connections_refused_total", "Connections that did not come about, by the reason");
    describe_counter!("isorun_refusals_total", "What peers were refused, by the reason");
    describe_counter!("isorun_connection_received_bytes_total", Unit::Bytes, "Frames that came in");
    describe_counter!("isorun_connection_sent_bytes_total", Unit::Bytes, "Frames that went out");
}

/// The numbers of instances, read when they are asked for: no call pays for them.
///
/// They don't go through the recorder, which would keep those of instances that are gone.
fn write_instances(text: &mut String, instances: &[(&str, InstanceCounts)]) {
    let groups = ["not-sent", "unknown", "refused", "failed", "deadline", "cancelled"];
    family(text, "calls_total", "counter", "Calls of the instance, from wherever, by how they ended", |text, name| {
        for (instance, counts) in instances {
            sample(text, name, instance, Some(("outcome", "results")), counts.results);
            for group in groups {
                let count = counts.failures.get(group).copied().unwrap_or(0);
                sample(text, name, instance, Some(("outcome", group)), count);
            }
        }
    });
    family(
        text,
        "failures_total",
        "counter",
        "Calls of the instance that failed, by the kind of failure",
        |text, name| {
            for (instance, InstanceCounts { kinds, .. }) in instances {
                write_kinds(text, name, instance, kinds);
            }
        },
    );
    let mut each = |name, kind, help, of: fn(&InstanceCounts) -> u64| {
        family(text, name, kind, help, |text, name| {
            for (instance, counts) in instances {
                sample(text, name, instance, None, of(counts));
            }
        });
    };
    each("fuel_total", "counter", "Fuel that calls spent, with all that they called", |counts| counts.fuel_used);
    each("generation", "gauge", "Stores that the instance has had", |counts| counts.generation);
    each("in_flight", "gauge", "Calls that run in the instance now", |counts| counts.in_flight as u64);
    each("queue_depth", "gauge", "Calls that wait for the instance now", |counts| counts.waiting as u64);
}

/// The numbers of components that live, all together: there may be many of them.
fn write_living(text: &mut String, numbers: &LivingNumbers) {
    let LivingNumbers { messages, dead_letters, restarts, states } = numbers;
    let mut each = |name, help, samples: &[(&str, u64)], label| {
        let kind = if label == Some("state") { "gauge" } else { "counter" };
        line(text, format_args!("# HELP isorun_{name} {help}"));
        line(text, format_args!("# TYPE isorun_{name} {kind}"));
        for (value, count) in samples {
            match label {
                Some(label) => line(text, format_args!("isorun_{name}{{{label}=\"{value}\"}} {count}")),
                None => line(text, format_args!("isorun_{name} {count}")),
            }
        }
        text.push('\n');
    };
    each("messages_accepted_total", "Messages that mailboxes took", &[("", messages.accepted)], None);
    each("messages_handled_total", "Messages that a component handled", &[("", messages.handled)], None);
    each("messages_forwarded_total", "Messages taken for other nodes", &[("", messages.forwarded)], None);
    each("late_replies_total", "Answers after their request had ended", &[("", messages.late_replies)], None);
    each("component_restarts_total", "Times that components were started again", &[("", *restarts)], None);
    let reasons = DeadLetterReason::ALL.map(|reason| (reason.to_string(), dead_letters.count(reason)));
    let reasons = reasons.each_ref().map(|(reason, count)| (reason.as_str(), *count));
    each("dead_letters_total", "Messages that did not come to their end", &reasons, Some("reason"));
    let states: Vec<_> = states.iter().map(|(state, count)| (state.to_string(), *count)).collect();
    let states: Vec<_> = states.iter().map(|(state, count)| (state.as_str(), *count)).collect();
    each("components", "Components that there are now", &states, Some("state"));
}

fn write_kinds(text: &mut String, name: &str, instance: &str, kinds: &BTreeMap<&'static str, u64>) {
    for (kind, count) in kinds {
        sample(text, name, instance, Some(("kind", kind)), *count);
    }
}

fn family(text: &mut String, name: &str, kind: &str, help: &str, samples: impl FnOnce(&mut String, &str)) {
    let name = format!("isorun_instance_{name}");
    line(text, format_args!("# HELP {name} {help}"));
    line(text, format_args!("# TYPE {name} {kind}"));
    samples(text, &name);
    text.push('\n');
}

/// One number; the names of instances are plain, so that nothing in them needs escaping.
fn sample(text: &mut String, name: &str, instance: &str, more: Option<(&str, &str)>, value: u64) {
    match more {
        Some((key, label)) => line(text, format_args!("{name}{{instance=\"{instance}\",{key}=\"{label}\"}} {value}")),
        None => line(text, format_args!("{name}{{instance=\"{instance}\"}} {value}")),
    }
}

fn line(text: &mut String, line: impl Display) {
    // A string takes whatever is written.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_written_as_prometheus_reads_them() {
        let mut counts = InstanceCounts::default();
        (counts.results, counts.fuel_used, counts.generation) = (3, 70, 2);
        counts.failures.insert("failed", 1);
        counts.kinds.insert("trapped", 1);
        let mut text = String::new();
        write_instances(&mut text, &[("kv", counts)]);
        for line in [
            "# TYPE isorun_instance_calls_total counter",
            "isorun_instance_calls_total{instance=\"kv\",outcome=\"results\"} 3",
            "isorun_instance_calls_total{instance=\"kv\",outcome=\"failed\"} 1",
            "isorun_instance_calls_total{instance=\"kv\",outcome=\"refused\"} 0",
            "isorun_instance_failures_total{instance=\"kv\",kind=\"trapped\"} 1",
            "isorun_instance_fuel_total{instance=\"kv\"} 70",
            "isorun_instance_generation{instance=\"kv\"} 2",
            "# TYPE isorun_instance_queue_depth gauge",
        ] {
            assert!(text.lines().any(|written| written == line), "{line}\n{text}");
        }
    }
}

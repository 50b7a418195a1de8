//! `isorun ps` and `isorun logs`: what lives on a node, and what it says.

use isorun::actors::{ComponentStatus, LogEntry, LogQuery};
use isorun::{Failure, LogLevel, Refusal};
use serde_json::{Value, json};

use crate::args::{LogsArgs, PsArgs};
use crate::call::Time;
use crate::dead;
use crate::exit::{self, Failed};
use crate::keys::Keys;
use crate::node::Asked;
use crate::terminal::{self, Terminal, cut};

/// Lists the components of a node.
pub async fn ps(args: PsArgs, terminal: &Terminal) -> Result<u8, Failed> {
    let asked = Asked::find(args.node.as_ref(), &Keys::new(args.keys))?;
    let time = Time::new(args.timeout);
    if args.dead_letters {
        return dead::list(&asked, &time, terminal).await;
    }
    let found = time.of(asked.node.components(args.health)).await;
    let components = found.map_err(|failure| asked.failed(&failure))?;
    if components.is_empty() {
        terminal::note("nothing lives there, or nothing that this command may see");
    }
    let lines: Vec<Line> = components.iter().map(Line::from).collect();
    terminal.result(|| table(&lines, args.health, terminal::width()), || components.iter().map(status).collect())?;
    dead::remark(&asked, &time).await;
    Ok(exit::OK)
}

/// Shows what components logged.
pub async fn logs(args: LogsArgs, terminal: &Terminal) -> Result<u8, Failed> {
    let asked = Asked::find(args.node.as_ref(), &Keys::new(args.keys))?;
    let mut query = LogQuery { component: args.component, after: None, limit: args.lines, wait_ms: 0 };
    loop {
        let page = asked.node.logs(&query).await.map_err(|failure| match failure {
            Failure::Refused(Refusal::BadArguments { detail }) => Failed::new(exit::FAILED, detail).kind("refused"),
            // It was there a moment ago.
            Failure::NotSent { .. } | Failure::Unknown { .. } | Failure::Cancelled if query.after.is_some() => {
                Failed::new(exit::FAILED, format!("{} ended, or the way there", asked.name)).kind("ended")
            }
            failure => asked.failed(&failure),
        })?;
        if page.forgotten > 0 {
            terminal::note(&format!(
                "up to {} lines came faster than they were read here, and are gone",
                page.forgotten
            ));
        }
        for entry in &page.lines {
            terminal.result(|| line(entry), || json_line(entry))?;
        }
        if !args.follow {
            return Ok(exit::OK);
        }
        query = LogQuery { after: Some(page.next), limit: u32::MAX, wait_ms: FOLLOW_MS, ..query };
    }
}

/// How long one look waits for a line, in milliseconds.
const FOLLOW_MS: u32 = 20_000;

/// Signs of an id that are shown where a terminal has no room for all.
const ID_WIDTH: usize = 32;

/// A component as a line shows it.
struct Line {
    id: String,
    /// State, restarts, messages that wait, memory.
    middle: [String; 4],
    health: String,
    reason: Option<String>,
    last_exit: String,
}

impl From<&ComponentStatus> for Line {
    fn from(component: &ComponentStatus) -> Self {
        let health = component.health.as_ref();
        Self {
            id: component.id.to_string(),
            middle: [
                component.state.to_string(),
                component.restarts.to_string(),
                component.queued_messages.to_string(),
                size(component.memory_bytes),
            ],
            health: health.map_or_else(|| "-".into(), |health| health.status.to_string()),
            reason: health.and_then(|health| health.reason.as_deref()).map(terminal::one_line),
            last_exit: component.last_exit.as_deref().map_or_else(|| "-".into(), last_exit),
        }
    }
}

/// The components, a line each; on a terminal of `width` columns no line is longer.
fn table(lines: &[Line], with_health: bool, width: Option<usize>) -> String {
    let whole = terminal::columns(&rows(lines, with_health, usize::MAX, true));
    let Some(width) = width else { return whole };
    if whole.lines().all(|line| line.chars().count() <= width) {
        return whole;
    }
    // Where there is no room for two long texts beside each other, why a component is not well gets a line of its own.
    let narrow = terminal::columns(&rows(lines, with_health, ID_WIDTH, false));
    let mut rows = narrow.lines();
    let mut shown: Vec<String> = rows.next().map(|titles| cut(titles, width)).into_iter().collect();
    for (row, line) in rows.zip(lines) {
        shown.push(cut(row, width));
        shown.extend(line.reason.iter().map(|reason| cut(&format!("  {reason}"), width)));
    }
    shown.join("\n")
}

fn rows(lines: &[Line], with_health: bool, id_width: usize, with_reasons: bool) -> Vec<Vec<String>> {
    let health = with_health.then(|| "HEALTH".to_owned());
    let titles = ["COMPONENT", "STATE", "RESTARTS", "QUEUED", "MEMORY"].map(str::to_owned);
    let mut rows = vec![titles.into_iter().chain(health).chain(["LAST EXIT".to_owned()]).collect()];
    rows.extend(lines.iter().map(|line| {
        let health = with_health.then(|| match &line.reason {
            Some(reason) if with_reasons => format!("{}: {reason}", line.health),
            _ => line.health.clone(),
        });
        let first = std::iter::once(cut(&line.id, id_width)).chain(line.middle.iter().cloned());
        first.chain(health).chain([line.last_exit.clone()]).collect()
    }));
    rows
}

/// How it ended, without the word that all ends begin with that are not shown otherwise.
fn last_exit(text: &str) -> String {
    terminal::one_line(text.strip_prefix("failed: ").unwrap_or(text))
}

/// Bytes for the eye.
fn size(bytes: u64) -> String {
    let kib = bytes.div_ceil(1 << 10);
    match bytes {
        0 => "0".into(),
        _ if kib < 10 << 10 => format!("{kib} KiB"),
        _ => format!("{} MiB", bytes >> 20),
    }
}

fn status(component: &ComponentStatus) -> Value {
    let health = component.health.as_ref();
    json!({
        "id": component.id.as_str(),
        "state": component.state.to_string(),
        "restarts": component.restarts,
        "queued_messages": component.queued_messages,
        "queued_bytes": component.queued_bytes,
        "memory_bytes": component.memory_bytes,
        "calls": component.calls,
        "health": health.map(|it| json!({ "status": it.status.to_string(), "reason": it.reason })),
        "supervisor": component.supervisor,
        "last_exit": component.last_exit,
    })
}

fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

fn line(entry: &LogEntry) -> String {
    let fields = entry.fields.iter().map(|(name, value)| format!(" {name}={value}")).collect::<String>();
    let dropped = match entry.dropped_before {
        0 => String::new(),
        dropped => format!(" (after {dropped} that were dropped)"),
    };
    let said = terminal::one_line(&format!("{}{fields}{dropped}", entry.message));
    let (at, level, component) = (time(entry.timestamp_ms), level(entry.level), terminal::one_line(&entry.component));
    format!("{at} {level:<5} {component}: {said}")
}

fn json_line(entry: &LogEntry) -> Value {
    let fields = entry.fields.iter().map(|(name, value)| json!([name, value])).collect::<Value>();
    json!({
        "seq": entry.seq,
        "timestamp_ms": entry.timestamp_ms,
        "component": &*entry.component,
        "level": level(entry.level),
        "message": entry.message,
        "fields": fields,
        "dropped_before": entry.dropped_before,
    })
}

/// Milliseconds since 1970 as a date and a time of day, in UTC.
pub fn time(ms: u64) -> String {
    let (days, ms) = (ms / 86_400_000, ms % 86_400_000);
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    // Years that begin in March, so that a leap day is the last of one; eras of 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = 400 * era + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(time(951_868_799_999), "2000-02-29T23:59:59.999Z");
        assert_eq!(time(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
        assert!(time(u64::MAX).ends_with('Z'));
    }

    fn shown(id: &str, reason: Option<&str>, exit: &str) -> Line {
        let middle = ["running", "1", "0", "1024 KiB"].map(str::to_owned);
        let health = if reason.is_some() { "unhealthy" } else { "healthy" }.to_owned();
        Line { id: id.into(), middle, health, reason: reason.map(str::to_owned), last_exit: last_exit(exit) }
    }

    #[test]
    fn a_table_is_as_wide_as_its_terminal_and_whole_in_a_pipe() {
        let long = format!("demo/{}/0", "a".repeat(50));
        let trap = "failed: `handle-message`: trap: wasm `unreachable` instruction executed";
        let all = [shown(&long, Some("its disk is full"), trap), shown("demo/b/0", None, "-")];
        let whole = table(&all, true, None);
        assert!(whole.contains(&long) && whole.contains("  unhealthy: its disk is full  `handle-message`: trap: wasm"));
        assert!(whole.ends_with("  -") && whole.lines().count() == 3, "{whole}");
        assert_eq!(table(&all, true, Some(500)), whole);
        for width in [1, 40, 50, 80, 120] {
            let shown = table(&all, true, Some(width));
            assert!(shown.lines().all(|line| line.chars().count() <= width), "{shown}");
            assert_eq!(shown.lines().count(), 4, "{shown}");
        }
        let shown = table(&all, true, Some(100));
        let lines: Vec<_> = shown.lines().collect();
        assert!(lines[0].ends_with("  HEALTH     LAST EXIT") && lines[2] == "  its disk is full", "{shown}");
        assert!(lines[1].contains("…") && lines[1].contains("  unhealthy  `handle-message`:"), "{shown}");
    }

    #[test]
    fn sizes_and_long_texts_fit_their_columns() {
        assert_eq!([0, 1, 1 << 20, 64 << 20].map(size), ["0", "1 KiB", "1024 KiB", "64 MiB"]);
        assert_eq!((cut("abc", 3), cut("abcd", 3)), ("abc".into(), "ab…".into()));
    }
}

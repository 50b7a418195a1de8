//! `isorun ps` and `isorun logs`: what lives on a node, and what it says.

use isorun::actors::{ComponentStatus, LogEntry, LogQuery};
use isorun::{ComponentHealth, Failure, LogLevel, Refusal};
use serde_json::{Value, json};

use crate::args::{LogsArgs, PsArgs};
use crate::call::Time;
use crate::dead;
use crate::exit::{self, Failed};
use crate::keys::Keys;
use crate::node::Asked;
use crate::terminal::{self, Terminal};

/// Lists the components of a node.
pub async fn ps(args: PsArgs, terminal: &Terminal) -> Result<u8, Failed> {
    let asked = Asked::find(args.node.as_ref(), &Keys::new(args.keys))?;
    let time = Time::new(args.timeout);
    if args.dead_letters {
        return dead::list(&asked, &time, terminal).await;
    }
    let found = time.of(asked.node.components(args.health)).await;
    let components = found.map_err(|failure| Failed::describe(&asked.name, &failure))?;
    if components.is_empty() {
        terminal::note("nothing lives there, or nothing that this command may see");
    }
    terminal.result(|| table(&components, args.health), || components.iter().map(status).collect())?;
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
            failure => Failed::describe(&asked.name, &failure),
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

/// Columns of a terminal that tables fit into.
pub const WIDTH: usize = 80;
/// Signs of an id that are shown.
const ID_WIDTH: usize = 32;

fn table(components: &[ComponentStatus], with_health: bool) -> String {
    let mut titles = vec!["COMPONENT", "STATE", "RESTARTS", "QUEUED", "MEMORY"];
    if with_health {
        titles.push("HEALTH");
    }
    titles.push("LAST EXIT");
    let row = |component: &ComponentStatus| {
        let mut row = vec![
            cut(component.id.as_str(), ID_WIDTH),
            component.state.to_string(),
            component.restarts.to_string(),
            component.queued_messages.to_string(),
            size(component.memory_bytes),
        ];
        if with_health {
            row.push(component.health.as_ref().map_or_else(|| "-".into(), health));
        }
        row.push(component.last_exit.as_deref().map_or_else(|| "-".into(), terminal::one_line));
        row
    };
    let mut rows: Vec<Vec<String>> = vec![titles.into_iter().map(str::to_owned).collect()];
    rows.extend(components.iter().map(row));
    terminal::columns(&rows).lines().map(|line| cut(line, WIDTH)).collect::<Vec<_>>().join("\n")
}

fn health(health: &ComponentHealth) -> String {
    match &health.reason {
        Some(reason) => format!("{}: {}", health.status, cut(&terminal::one_line(reason), ID_WIDTH)),
        None => health.status.to_string(),
    }
}

/// The text, with a mark for what has no room.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
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

    #[test]
    fn sizes_and_long_texts_fit_their_columns() {
        assert_eq!([0, 1, 1 << 20, 64 << 20].map(size), ["0", "1 KiB", "1024 KiB", "64 MiB"]);
        assert_eq!((cut("abc", 3), cut("abcd", 3)), ("abc".into(), "ab…".into()));
    }
}

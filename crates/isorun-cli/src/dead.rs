//! Messages that did not come to their end, as `isorun ps` shows them.

use isorun::actors::{DEAD_LETTERS_PAGE_MAX, DeadLetter, DeadLetterPage};
use serde_json::{Value, json};

use crate::call::Time;
use crate::exit::{self, Failed};
use crate::look::time;
use crate::node::Asked;
use crate::terminal::{self, Terminal, cut};

/// Signs of an id that are shown on a terminal.
const ID_WIDTH: usize = 18;

/// Lists the last of them.
pub async fn list(asked: &Asked, time: &Time, terminal: &Terminal) -> Result<u8, Failed> {
    let found = time.of(asked.node.dead_letters(None, DEAD_LETTERS_PAGE_MAX)).await;
    let page = found.map_err(|failure| asked.failed(&failure))?;
    terminal.result(|| table(&page.letters, terminal::width()), || json_page(&page))?;
    if page.counts.is_empty() {
        terminal::note("all messages that were taken came to their end, or this command may not see the others");
    }
    for (reason, count) in &page.counts {
        let last = page.letters.iter().rev().find(|letter| letter.reason == *reason);
        let why = last.map(|letter| format!(", the last one: {}", terminal::one_line(&letter.why)));
        terminal::note(&format!("{count} {reason}{}", why.unwrap_or_default()));
    }
    Ok(exit::OK)
}

/// Says in a line whether there are any. A node that can't say so is none to complain about.
pub async fn remark(asked: &Asked, time: &Time) {
    let Ok(page) = time.of(asked.node.dead_letters(None, 1)).await else { return };
    let were = match page.total() {
        0 => return,
        1 => "1 message was".to_owned(),
        total => format!("{total} messages were"),
    };
    let more = "`isorun ps NODE --dead-letters` shows the last of them";
    terminal::note(&format!("{were} not delivered, or not handled to the end: {more}"));
}

fn table(letters: &[DeadLetter], width: Option<usize>) -> String {
    if letters.is_empty() {
        return String::new();
    }
    let id_width = width.map_or(usize::MAX, |_| ID_WIDTH);
    let row = |letter: &DeadLetter| {
        let at = time(letter.timestamp_ms);
        // The day and the time of day; all of it is in the JSON.
        let at = at.get(5..19).unwrap_or_default().replace('T', " ");
        let arrived = if letter.reason.may_have_arrived() { "maybe" } else { "no" };
        vec![
            at,
            cut(letter.sender.as_str(), id_width),
            cut(letter.recipient.as_str(), id_width),
            letter.bytes.to_string(),
            letter.reason.to_string(),
            arrived.to_owned(),
        ]
    };
    let titles = ["WHEN (UTC)", "FROM", "TO", "BYTES", "REASON", "ARRIVED"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    rows.extend(letters.iter().map(row));
    let width = width.unwrap_or(usize::MAX);
    terminal::columns(&rows).lines().map(|line| cut(line, width)).collect::<Vec<_>>().join("\n")
}

fn json_page(page: &DeadLetterPage) -> Value {
    let counts = page.counts.iter().map(|(reason, count)| (reason.to_string(), json!(count)));
    let letters = page.letters.iter().map(|letter| {
        json!({
            "seq": letter.seq,
            "timestamp_ms": letter.timestamp_ms,
            "sender": letter.sender.as_str(),
            "recipient": letter.recipient.as_str(),
            "bytes": letter.bytes,
            "is_request": letter.is_request,
            "reason": letter.reason.to_string(),
            "may_have_arrived": letter.reason.may_have_arrived(),
            "why": &*letter.why,
        })
    });
    json!({ "counts": counts.collect::<serde_json::Map<_, _>>(), "letters": letters.collect::<Value>() })
}

#[cfg(test)]
mod tests {
    use isorun::ComponentId;
    use isorun::actors::DeadLetterReason;

    use super::*;

    #[test]
    fn a_table_of_the_longest_names_and_sizes_fits() {
        let long = "x".repeat(128);
        let id = || ComponentId::new(&long, &long, &long);
        let mut letter = DeadLetter::new(id(), id(), DeadLetterReason::NotSent);
        (letter.bytes, letter.timestamp_ms) = (1 << 20, u64::MAX >> 20);
        let shown = table(&[letter], Some(80));
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines.len() == 2 && lines.iter().all(|line| line.chars().count() <= 80), "{shown}");
        assert!(lines[1].ends_with("1048576  not-sent  no"), "{shown}");
    }
}

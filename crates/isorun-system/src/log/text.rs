//! What a guest's line looks like: bounded, and nothing in it moves a cursor.

use std::fmt::{self, Write as _};

use isorun_core::moves_cursor;

use super::{LOG_LINE_BYTES_MAX, LogField, LogLine};

/// The text as part of one line, cut to `room` bytes.
pub(super) fn one_line(text: &str, room: usize) -> String {
    let kept = room.saturating_sub(CUT.len());
    let mut line = String::with_capacity(text.len().min(room));
    let mut end = 0;
    for c in text.chars() {
        if moves_cursor(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
        if line.len() > room {
            line.truncate(end);
            if room >= CUT.len() {
                line.push_str(CUT);
            }
            return line;
        }
        if line.len() <= kept {
            end = line.len();
        }
    }
    line
}

/// What stands for the rest of a text that was cut.
const CUT: &str = "…";

/// What is left of a line's bytes while its parts are read.
pub(super) struct Room {
    bytes: usize,
}

impl Room {
    pub(super) fn new() -> Self {
        Self { bytes: LOG_LINE_BYTES_MAX }
    }

    pub(super) fn take(&mut self, text: &str) -> String {
        let text = one_line(text, self.bytes);
        self.bytes -= text.len();
        text
    }

    /// Whether there is room for another field: for what parts it from the others, and a byte of it.
    pub(super) fn begins_field(&mut self) -> bool {
        let begins = self.bytes > FIELD_BYTES;
        if begins {
            self.bytes -= FIELD_BYTES;
        }
        begins
    }
}

/// What a field takes beside its name and value: a space and a sign between them.
const FIELD_BYTES: usize = 2;

impl fmt::Display for LogLine<'_> {
    /// The message, then `name=value` for each field; in quotes where one has a space, a quote or such a sign in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)?;
        for LogField { name, value } in self.fields {
            f.write_char(' ')?;
            part(f, name)?;
            f.write_char('=')?;
            part(f, value)?;
        }
        Ok(())
    }
}

fn part(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '=');
    if !text.is_empty() && text.chars().all(plain) {
        return f.write_str(text);
    }
    f.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::LogLevel;
    use super::*;

    #[test]
    fn a_line_is_whole_up_to_its_limit_and_cut_beyond() {
        let longest = "a".repeat(LOG_LINE_BYTES_MAX);
        assert_eq!(one_line(&longest, LOG_LINE_BYTES_MAX), longest);
        let cut = one_line(&format!("{longest}a"), LOG_LINE_BYTES_MAX);
        assert_eq!(cut, format!("{}…", "a".repeat(LOG_LINE_BYTES_MAX - CUT.len())));
        for room in 0..CUT.len() {
            assert_eq!(one_line("aaaa", room), "", "no room for the sign, and none for less than all");
        }
    }

    #[test]
    fn what_moves_a_cursor_is_escaped() {
        let line = |text| one_line(text, LOG_LINE_BYTES_MAX);
        assert_eq!(line("a\nb\u{1b}[2Jc\u{202e}d\u{9b}"), "a\\nb\\u{1b}[2Jc\\u{202e}d\\u{9b}");
        assert_eq!(line("grüße, 你好, 'quoted'"), "grüße, 你好, 'quoted'");
    }

    #[test]
    fn fields_follow_the_message_and_none_can_pass_for_two() {
        let field = |name: &str, value: &str| LogField { name: name.into(), value: value.into() };
        let fields = [field("key", "k/1"), field("why", "too large"), field("a", "1 b=2"), field("", "\"x\"")];
        let line =
            LogLine { instance: "app", level: LogLevel::Info, message: "put", fields: &fields, dropped_before: 0 };
        assert_eq!(line.to_string(), r#"put key=k/1 why="too large" a="1 b=2" ""="\"x\"""#);
    }

    proptest! {
        #[test]
        fn any_text_is_one_line_within_the_limit(text in "(?s).{0,2000}", room in 0..5_000_usize) {
            for text in [text.clone(), text.repeat(3)] {
                let line = one_line(&text, room);
                prop_assert!(line.len() <= room);
                prop_assert!(!line.chars().any(moves_cursor));
            }
        }
    }
}

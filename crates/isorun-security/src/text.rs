//! Names from elsewhere, made fit for one line.

use std::fmt;

/// Characters of a name that are shown; a guest's or a peer's name may be of any length.
const SHOWN_CHARS_MAX: usize = 128;

/// A name as a message shows it: control characters escaped, cut where it is long.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.char_indices().nth(SHOWN_CHARS_MAX).map_or(self.0, |(end, _)| &self.0[..end]);
        write!(f, "{}{}", shown.escape_debug(), if shown.len() < self.0.len() { "…" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_whole_up_to_its_limit() {
        let longest = "ä".repeat(SHOWN_CHARS_MAX);
        assert_eq!(Shown(&longest).to_string(), longest);
        assert_eq!(Shown(&format!("{longest}b")).to_string(), format!("{longest}…"));
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(Shown("a\n\u{1b}[2J").to_string(), "a\\n\\u{1b}[2J");
    }
}

//! Texts of strangers, where people read them.

/// Whether showing this sign does something else than to put it after the others: controls, line separators, and what turns
/// the direction of writing.
///
/// Guests and peers are strangers: what they say is shown with these escaped.
///
/// ```
/// use isorun_core::moves_cursor;
///
/// let shown: String = "a\u{1b}[2J".chars().filter(|c| !moves_cursor(*c)).collect();
/// assert_eq!(shown, "a[2J");
/// assert!(!"grüße, 你好".contains(moves_cursor));
/// ```
#[must_use]
pub fn moves_cursor(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

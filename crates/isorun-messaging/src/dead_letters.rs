//! Messages that were taken and did not come to their end.

use std::collections::VecDeque;
use std::sync::Arc;

use isorun_core::{ComponentId, ComponentMessage};

use crate::sync::Mutex;

/// Dead letters that are kept to be looked at; all are counted.
pub const DEAD_LETTERS_KEPT: usize = 256;

/// Signs of the words in which a dead letter says why; the rest is cut.
pub const WHY_CHARS_MAX: usize = 200;

/// Why a message that was taken did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DeadLetterReason {
    /// It waited for a component that stopped for good: it was not handled.
    Stopped,
    /// The component failed while it handled it.
    Crashed,
    /// The component was taken away while it handled it.
    Killed,
    /// A request whose time was over before its turn came: it was not handled.
    Expired,
    /// It never left for its recipient's node.
    NotSent,
    /// Its recipient's node did not take it.
    Refused,
    /// It left for its recipient's node, and nobody knows whether it arrived.
    Unknown,
}

impl DeadLetterReason {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Stopped, Self::Crashed, Self::Killed, Self::Expired, Self::NotSent, Self::Refused, Self::Unknown];

    /// Whether the message may have been handled all the same, to its end or in part.
    #[must_use]
    pub fn may_have_arrived(self) -> bool {
        match self {
            Self::Crashed | Self::Killed | Self::Unknown => true,
            Self::Stopped | Self::Expired | Self::NotSent | Self::Refused => false,
        }
    }
}

impl std::fmt::Display for DeadLetterReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
            Self::Killed => "killed",
            Self::Expired => "expired",
            Self::NotSent => "not-sent",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        })
    }
}

/// A message that did not come to its end, without what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Its number among all dead letters of its system, the first one's being 1.
    pub seq: u64,
    /// Who sent it.
    pub sender: ComponentId,
    /// Whom it was for.
    pub recipient: ComponentId,
    /// Bytes of its payload and content type.
    pub bytes: usize,
    /// Whether it was a request, whose sender was told.
    pub is_request: bool,
    /// Why.
    pub reason: DeadLetterReason,
    /// The same in words, on one line of [`WHY_CHARS_MAX`] signs at most; what another node said may be among them.
    pub why: Arc<str>,
    /// When that was, in milliseconds since 1970.
    pub timestamp_ms: u64,
}

impl DeadLetter {
    /// One of no bytes, for whoever tells of another system's.
    #[must_use]
    pub fn new(sender: ComponentId, recipient: ComponentId, reason: DeadLetterReason) -> Self {
        Self { seq: 0, sender, recipient, bytes: 0, is_request: false, reason, why: "".into(), timestamp_ms: 0 }
    }
}

/// How many messages did not come to their end, and the last of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetters {
    counts: [u64; DeadLetterReason::ALL.len()],
    recent: VecDeque<DeadLetter>,
}

impl DeadLetters {
    /// How many there were, for all reasons.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many there were for one reason.
    #[must_use]
    pub fn count(&self, reason: DeadLetterReason) -> u64 {
        self.counts[reason as usize]
    }

    /// The last ones, at most [`DEAD_LETTERS_KEPT`], the oldest first.
    pub fn recent(&self) -> impl ExactSizeIterator<Item = &DeadLetter> {
        self.recent.iter()
    }
}

/// The same, shared.
#[derive(Debug, Default)]
pub(crate) struct DeadLetterOffice(Mutex<DeadLetters>);

impl DeadLetterOffice {
    pub(crate) fn bury(&self, message: &ComponentMessage, reason: DeadLetterReason, why: &str, timestamp_ms: u64) {
        let mut letter = DeadLetter {
            seq: 0,
            sender: message.sender.clone(),
            recipient: message.recipient.clone(),
            bytes: message_bytes(message),
            is_request: message.correlation_id.is_some(),
            reason,
            why: one_line(why).into(),
            timestamp_ms,
        };
        let mut letters = self.0.lock();
        letters.counts[reason as usize] += 1;
        letter.seq = letters.total();
        if letters.recent.len() >= DEAD_LETTERS_KEPT {
            letters.recent.pop_front();
        }
        letters.recent.push_back(letter);
    }

    pub(crate) fn letters(&self) -> DeadLetters {
        self.0.lock().clone()
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.lock().total()
    }
}

/// What another node may have written, as one short line.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    let mut signs = text.chars();
    for sign in signs.by_ref().take(WHY_CHARS_MAX - 1) {
        match isorun_core::moves_cursor(sign) {
            true => line.push(' '),
            false => line.push(sign),
        }
    }
    if signs.next().is_some() {
        line.push('…');
    }
    line
}

/// What a message counts for, in bytes.
pub(crate) fn message_bytes(message: &ComponentMessage) -> usize {
    payload_bytes(&message.payload)
}

/// What a payload counts for, in bytes.
pub(crate) fn payload_bytes(payload: &isorun_core::MessagePayload) -> usize {
    payload.data.len() + payload.content_type.as_ref().map_or(0, |text| text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_node_wrote_is_one_line_that_turns_nothing_around() {
        assert_eq!(one_line("a\u{1b}[2Jb\n\u{202e}c\u{9b}d"), "a [2Jb  c d");
        assert!(one_line(&"x".repeat(10_000)).chars().count() <= WHY_CHARS_MAX);
    }
}

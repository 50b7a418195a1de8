//! What a system has counted.

use std::sync::Arc;

use crate::cell::Cell;

/// What became of messages and requests since the system was made, and what is there now.
///
/// Of messages to components here, `accepted` is `handled`, dead letters, `queued_messages` and those in hand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MessagingStats {
    /// Components that there are.
    pub components: usize,
    /// Those of them that run.
    pub running: usize,
    /// Messages that mailboxes here took.
    pub accepted: u64,
    /// Messages that a component handled, whatever it said.
    pub handled: u64,
    /// Those of them that the component rejected.
    pub rejected: u64,
    /// Messages that wait in mailboxes here.
    pub queued_messages: usize,
    /// Bytes of their payloads and content types.
    pub queued_bytes: usize,
    /// Messages that found a full mailbox or outbox.
    pub refused_full: u64,
    /// Messages to a target that nobody knows.
    pub refused_not_found: u64,
    /// Messages that can't be sent: too large, a bad id, a sender that is none.
    pub refused_invalid: u64,
    /// Messages that no grant allows.
    pub refused_denied: u64,
    /// Messages that were taken and did not come to their end, here or on their way to another node.
    pub dead_letters: u64,
    /// Requests that components here sent.
    pub requests: u64,
    /// Requests whose outcome their component has not taken yet, and has not given up.
    pub requests_open: usize,
    /// Requests whose time was over.
    pub timed_out: u64,
    /// Requests that were given up.
    pub cancelled: u64,
    /// Answers that came after their request had ended: they were discarded.
    pub late_replies: u64,
    /// Messages that outboxes to other nodes took.
    pub forwarded: u64,
    /// Requests of other nodes whose outcome has not been fetched.
    pub held: usize,
}

/// What those have counted that are not there any more, and those that are about to go.
#[derive(Debug, Default)]
pub(crate) struct Retired {
    pub(crate) counts: MessagingStats,
    pub(crate) leaving: Vec<Arc<Cell>>,
}

impl MessagingStats {
    /// Adds up what is counted for ever.
    pub(crate) fn add_counts(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.handled += other.handled;
        self.rejected += other.rejected;
        self.refused_full += other.refused_full;
        self.requests += other.requests;
        self.timed_out += other.timed_out;
        self.cancelled += other.cancelled;
        self.late_replies += other.late_replies;
        self.forwarded += other.forwarded;
    }
}

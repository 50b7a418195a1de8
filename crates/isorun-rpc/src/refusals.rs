//! What was refused, said once and not for ever.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use isorun_core::{Failure, PeerIdentity, Refusal, TransportError};
use neorpc::{FrameError, ProtocolError};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// Lines of the log that one reason gets in one span; the rest is counted, and told when the span is over.
///
/// Enough to see who is at it and how; too few for a peer to fill a disk, at some 200 bytes a line.
pub(crate) const LINES_MAX: u32 = 8;

/// Characters of a refusal's own words that are logged.
const DETAIL_CHARS_MAX: usize = 200;

/// The span, in milliseconds.
const SPAN_MS: u64 = 1_000;

/// The log of refusals, shared by all connections of a server.
///
/// Reasons are names of ours, so there are never more than this crate knows.
#[derive(Default)]
pub(crate) struct Refusals {
    /// Whether it is this end that asked for the connection.
    dialled: bool,
    spans: Mutex<BTreeMap<&'static str, Span>>,
    held_back: Notify,
}

struct Span {
    began: Instant,
    lines: u32,
    held_back: u64,
}

impl Refusals {
    /// The log of a connection that this end asked for.
    pub(crate) fn dialled() -> Self {
        Self { dialled: true, spans: Mutex::default(), held_back: Notify::default() }
    }

    /// Notes that a request was declined.
    pub(crate) fn call(&self, peer: &PeerIdentity, failure: &Failure) {
        if let Failure::Refused(refusal) = failure {
            self.note(reason_of(refusal), peer, refusal);
        }
    }

    /// Notes that a connection ended for its peer's fault.
    pub(crate) fn connection(&self, peer: &PeerIdentity, error: &ProtocolError) {
        match error {
            // Its own words about what this end did.
            ProtocolError::Farewell(_) => tracing::debug!(%peer, %error, "closing the connection"),
            // Nobody was refused: who was asked did not answer, which is the caller's to tell.
            ProtocolError::NoHello { .. } if self.dialled => {
                tracing::debug!(%peer, %error, "closing the connection");
            }
            error => self.note(protocol_reason_of(error), peer, error),
        }
    }

    /// Notes that a channel broke; what is no fault of the peer is no refusal.
    pub(crate) fn channel(&self, peer: &PeerIdentity, error: &TransportError) {
        match error {
            TransportError::FrameSize { .. } => self.note("frame size", peer, error),
            error => tracing::debug!(%peer, %error, "the connection went"),
        }
    }

    pub(crate) fn note(&self, reason: &'static str, peer: &dyn Display, detail: &dyn Display) {
        metrics::counter!("isorun_refusals_total", "reason" => reason).increment(1);
        if self.may_say(reason) {
            tracing::warn!(reason, %peer, "refused: {}", one_line(detail));
        }
    }

    fn may_say(&self, reason: &'static str) -> bool {
        let now = Instant::now();
        let mut spans = self.spans.lock();
        let span = spans.entry(reason).or_insert(Span { began: now, lines: 0, held_back: 0 });
        let mut before = 0;
        if now.saturating_duration_since(span.began) >= Duration::from_millis(SPAN_MS) {
            before = span.held_back;
            *span = Span { began: now, lines: 0, held_back: 0 };
        }
        let says = span.lines < LINES_MAX;
        if says {
            span.lines += 1;
        } else {
            span.held_back += 1;
            if span.held_back == 1 {
                self.held_back.notify_one();
            }
        }
        drop(spans);
        tell(reason, before);
        says
    }

    /// Tells what was held back, a span after it was, as long as it is polled.
    pub(crate) async fn told(&self) {
        loop {
            self.held_back.notified().await;
            sleep(Duration::from_millis(SPAN_MS)).await;
            self.tell();
        }
    }

    fn tell(&self) {
        let held_back: Vec<(&str, u64)> =
            self.spans.lock().iter_mut().map(|(reason, span)| (*reason, std::mem::take(&mut span.held_back))).collect();
        for (reason, more) in held_back {
            tell(reason, more);
        }
    }
}

impl Drop for Refusals {
    fn drop(&mut self) {
        self.tell();
    }
}

/// What a peer may have written, as one short line.
fn one_line(detail: &dyn Display) -> String {
    let text = detail.to_string();
    let mut line = String::new();
    for char in text.chars().take(DETAIL_CHARS_MAX) {
        match isorun_core::moves_cursor(char) {
            true => line.extend(char.escape_default()),
            false => line.push(char),
        }
    }
    if text.chars().nth(DETAIL_CHARS_MAX).is_some() {
        line.push('…');
    }
    line
}

fn tell(reason: &str, more: u64) {
    if more > 0 {
        tracing::warn!(reason, more, "refused: and {more} more");
    }
}

fn reason_of(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Overloaded { .. } => "overloaded",
        Refusal::Busy { .. } => "busy",
        Refusal::Reentrant { .. } => "reentrant",
        Refusal::Unauthorised { .. } => "unauthorised",
        Refusal::Incompatible { .. } => "incompatible",
        Refusal::NoSuchInstance { .. } => "no such instance",
        Refusal::NoSuchFunction { .. } => "no such function",
        Refusal::BadArguments { .. } => "bad arguments",
        Refusal::ShortOfFuel { .. } => "short of fuel",
        Refusal::ChainTooLong { .. } => "chain too long",
        // Of a later version, or of somebody else's callee.
        _ => "other",
    }
}

fn protocol_reason_of(error: &ProtocolError) -> &'static str {
    match error {
        ProtocolError::Frame(FrameError::Unsupported { .. }) => "unsupported",
        ProtocolError::Frame(_) => "malformed frame",
        ProtocolError::FrameTooLarge { .. } => "frame size",
        ProtocolError::Version { .. } => "version",
        ProtocolError::NoHello { .. } | ProtocolError::HelloExpected { .. } => "no hello",
        ProtocolError::NeverIssued { .. } | ProtocolError::NeverBound { .. } | ProtocolError::NeverPinged { .. } => {
            "never issued"
        }
        ProtocolError::IdNotGrowing { .. } => "reused id",
        ProtocolError::OverCredit { .. } | ProtocolError::Overrun { .. } | ProtocolError::PayloadSize { .. } => {
            "chunks"
        }
        ProtocolError::NotReading { .. } => "not reading",
        ProtocolError::Silent { .. } => "silent",
        _ => "protocol",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reason_gets_its_lines_and_the_rest_is_counted() {
        let refusals = Refusals::default();
        let said = |reason| (0..1_000).filter(|_| refusals.may_say(reason)).count();
        assert_eq!([said("busy"), said("busy"), said("version")], [LINES_MAX as usize, 0, LINES_MAX as usize]);
        assert_eq!(refusals.spans.lock()["busy"].held_back, 2_000 - u64::from(LINES_MAX));
        tokio::time::advance(Duration::from_millis(SPAN_MS)).await;
        assert_eq!(said("busy"), LINES_MAX as usize);
    }

    #[test]
    fn what_a_peer_wrote_is_one_short_line() {
        let line = one_line(&format!("no such instance: `a\nWARN b\u{1b}[2J{}`", "c".repeat(1 << 20)));
        assert!(line.starts_with(r"no such instance: `a\nWARN b\u{1b}[2Jccc") && line.ends_with("c…"), "{line}");
        assert!(line.len() < 2 * DETAIL_CHARS_MAX);
        assert_eq!(one_line(&"c".repeat(DETAIL_CHARS_MAX)), "c".repeat(DETAIL_CHARS_MAX));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_held_back_is_told_a_span_later() {
        let refusals = Refusals::default();
        for _ in 0..1_000 {
            refusals.may_say("busy");
        }
        let told = tokio::time::timeout(Duration::from_millis(SPAN_MS + 1), refusals.told()).await;
        assert!(told.is_err(), "it goes on for more");
        assert_eq!(refusals.spans.lock()["busy"].held_back, 0);
    }
}

//! Messages of a host's components that did not come to their end: as values, and on the wire.

use std::borrow::Cow;

use isorun_core::ComponentId;
use isorun_messaging::{DEAD_LETTERS_KEPT, DeadLetter, DeadLetterReason, DeadLetters};
use neopack::{Pack, Unpack};

use super::delivery::{pack, unpack};

/// Most dead letters that one answer gives, however many were asked for: as many as a host keeps.
pub const DEAD_LETTERS_PAGE_MAX: u32 = DEAD_LETTERS_KEPT as u32;

/// Messages that were taken, and of which their host knows that they did not come to their end.
///
/// The sender of a request was told. That of a message that wants no answer was not: this is where it is seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DeadLetterPage {
    /// In the order in which they were given up.
    pub letters: Vec<DeadLetter>,
    /// What to ask for next, as `after`.
    pub next: u64,
    /// How many after the one that was named are not kept any more; 0 for a caller that may not see all.
    pub forgotten: u64,
    /// How many there were for each reason: since the host runs, or for a caller that may not see all, of those that are
    /// kept. Reasons without any are left out.
    pub counts: Vec<(DeadLetterReason, u64)>,
}

impl DeadLetterPage {
    /// How many there were, for all reasons.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Those after `after`, or the last ones, for somebody that may see all, or those to whom `may_see` allows.
    pub(super) fn of(
        all: &DeadLetters,
        after: Option<u64>,
        limit: u32,
        sees_all: bool,
        may_see: impl Fn(&ComponentId) -> bool,
    ) -> Self {
        let limit = limit.clamp(1, DEAD_LETTERS_PAGE_MAX) as usize;
        // Whoever embeds a host may send as somebody whose id is none; others would not know what to make of it.
        let may_be_told = |letter: &&DeadLetter| {
            letter.sender.is_plain() && letter.recipient.is_plain() && (sees_all || may_see(&letter.recipient))
        };
        let seen: Vec<&DeadLetter> = all.recent().filter(may_be_told).collect();
        let count = |reason| match sees_all {
            true => all.count(reason),
            false => seen.iter().filter(|letter| letter.reason == reason).count() as u64,
        };
        let counts = DeadLetterReason::ALL.map(|reason| (reason, count(reason)));
        let counts = counts.into_iter().filter(|(_, count)| *count > 0).collect();
        let last = if sees_all { all.total() } else { seen.last().map_or(0, |letter| letter.seq) };
        let Some(after) = after else {
            let from = seen.len().saturating_sub(limit);
            let letters = seen[from..].iter().map(|letter| (*letter).clone()).collect();
            return Self { letters, next: last, forgotten: 0, counts };
        };
        let newer = &seen[seen.partition_point(|letter| letter.seq <= after)..];
        let letters: Vec<DeadLetter> = newer.iter().take(limit).map(|letter| (*letter).clone()).collect();
        // Also where `after` is a number from before the host was started again.
        let next = if newer.len() > limit { letters.last().map_or(last, |letter| letter.seq) } else { last };
        let oldest = all.recent().next().map_or(1, |letter| letter.seq);
        let forgotten = if sees_all { oldest.saturating_sub(after.saturating_add(1)) } else { 0 };
        Self { letters, next, forgotten, counts }
    }

    pub(super) fn pack(&self) -> Result<bytes::Bytes, String> {
        let letters = self.letters.iter().map(Letter::from).collect();
        let counts = self.counts.iter().map(|(reason, count)| (Reason::from(*reason), *count)).collect();
        pack(&(Page { letters, next: self.next, forgotten: self.forgotten, counts },))
    }

    pub(super) fn unpack(bytes: &[u8]) -> Result<Self, String> {
        let (Page { letters, next, forgotten, counts },): (Page<'_>,) = unpack(bytes)?;
        let letters = letters.into_iter().map(Letter::checked).collect::<Result<_, _>>()?;
        let counts = counts.into_iter().map(|(reason, count)| (reason.into(), count)).collect();
        Ok(Self { letters, next, forgotten, counts })
    }
}

#[derive(Pack, Unpack, Clone, Copy)]
enum Reason {
    Stopped,
    Crashed,
    Killed,
    Expired,
    NotSent,
    Refused,
    Unknown,
}

#[derive(Pack, Unpack)]
struct Letter<'a> {
    seq: u64,
    timestamp_ms: u64,
    sender: &'a str,
    recipient: &'a str,
    bytes: u64,
    is_request: bool,
    reason: Reason,
    may_have_arrived: bool,
    why: Cow<'a, str>,
}

#[derive(Pack, Unpack)]
struct Page<'a> {
    letters: Vec<Letter<'a>>,
    next: u64,
    forgotten: u64,
    counts: Vec<(Reason, u64)>,
}

impl From<DeadLetterReason> for Reason {
    fn from(reason: DeadLetterReason) -> Self {
        match reason {
            DeadLetterReason::Stopped => Self::Stopped,
            DeadLetterReason::Crashed => Self::Crashed,
            DeadLetterReason::Killed => Self::Killed,
            DeadLetterReason::Expired => Self::Expired,
            DeadLetterReason::NotSent => Self::NotSent,
            DeadLetterReason::Refused => Self::Refused,
            // What this version has no case for may have arrived.
            _ => Self::Unknown,
        }
    }
}

impl From<Reason> for DeadLetterReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Stopped => Self::Stopped,
            Reason::Crashed => Self::Crashed,
            Reason::Killed => Self::Killed,
            Reason::Expired => Self::Expired,
            Reason::NotSent => Self::NotSent,
            Reason::Refused => Self::Refused,
            Reason::Unknown => Self::Unknown,
        }
    }
}

impl<'a> From<&'a DeadLetter> for Letter<'a> {
    fn from(letter: &'a DeadLetter) -> Self {
        Self {
            seq: letter.seq,
            timestamp_ms: letter.timestamp_ms,
            sender: letter.sender.as_str(),
            recipient: letter.recipient.as_str(),
            bytes: letter.bytes as u64,
            is_request: letter.is_request,
            reason: letter.reason.into(),
            may_have_arrived: letter.reason.may_have_arrived(),
            why: (&*letter.why).into(),
        }
    }
}

impl Letter<'_> {
    fn checked(self) -> Result<DeadLetter, String> {
        let id = |text| ComponentId::parse(text).map_err(|error| error.to_string());
        let (sender, recipient) = (id(self.sender)?, id(self.recipient)?);
        let bytes = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        let mut letter = DeadLetter::new(sender, recipient, self.reason.into());
        (letter.seq, letter.timestamp_ms, letter.bytes) = (self.seq, self.timestamp_ms, bytes);
        (letter.is_request, letter.why) = (self.is_request, self.why.into());
        Ok(letter)
    }
}

//! Faults that `isorun-simulator` must find.
//!
//! They are compiled under `cfg(planted)` alone, which only the package `neorpc-planted` sets, for itself.

use std::cell::Cell;

/// One fault, in this crate or in the simulator's own hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A frame that was taken counts as not sent.
    TakenIgnored,
    /// Results go to the oldest call.
    ReplyToOldest,
    /// A call that is given up while it waits goes out.
    CancelNotWithdrawn,
    /// The time that a call waits here is not taken off what it has left.
    WaitNotCounted,
    /// A call whose time is over stays in flight.
    ExpiredStays,
    /// What was accepted before a going-away is dropped.
    AwayDropsAccepted,
    /// What comes after a going-away is served.
    AwayServesMore,
    /// The arguments of a cancelled call stay counted.
    ArgsStayCounted,
    /// A call is answered twice.
    AnsweredTwice,
    /// A call's time is over too late.
    LateDeadline,
    /// A binding that is given back is kept.
    UnbindIgnored,
    /// The bytes of a call that is withdrawn stay counted.
    BytesStayCounted,
    /// Results that are given up while they come are kept.
    ArrivalStays,
    /// The credit for a chunk of what has ended is not given back.
    CreditLost,
    /// The chunks of a payload that is given up go on.
    ChunksGoOn,
    /// What is unknown is made again, idempotent or not.
    UnknownMadeAgain,
    /// A call that may have run once, and was not sent the next time, counts as not sent.
    MaybeForgotten,
    /// A call within another gets more time than that has.
    HopExtends,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::TakenIgnored,
        Self::ReplyToOldest,
        Self::CancelNotWithdrawn,
        Self::WaitNotCounted,
        Self::ExpiredStays,
        Self::AwayDropsAccepted,
        Self::AwayServesMore,
        Self::ArgsStayCounted,
        Self::AnsweredTwice,
        Self::LateDeadline,
        Self::UnbindIgnored,
        Self::BytesStayCounted,
        Self::ArrivalStays,
        Self::CreditLost,
        Self::ChunksGoOn,
        Self::UnknownMadeAgain,
        Self::MaybeForgotten,
        Self::HopExtends,
    ];
}

thread_local! {
    static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Plants `fault` for this thread, and takes out whatever was planted before.
pub fn plant(fault: Option<Fault>) {
    PLANTED.set(fault);
}

/// Whether this fault is planted.
#[must_use]
pub fn has(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}

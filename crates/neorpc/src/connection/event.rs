//! What a connection tells its shell, and why it ends.

use bytes::Bytes;
use isorun_core::{BindRequest, CallContext, CallFailed, Failure, FunctionIndex, Reply};

use crate::bind::{Description, FunctionTable};
use crate::call::SelfContainedCall;
use crate::frame::{FrameError, Kind};
use crate::hello::PeerLimits;
use crate::id::{BindingId, RequestId};

/// What a connection tells its shell.
///
/// Each request of this end that was accepted and not cancelled ends in exactly one of `Bound`, `Described` and
/// `Returned`. Each `Incoming…` waits for one answer, unless `IncomingCancelled` comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Both ends said hello: requests may be made. These are the other end's limits.
    Open(PeerLimits),
    /// A bind came to its end.
    Bound {
        /// The bind.
        id: RequestId,
        /// Its function table.
        result: Result<FunctionTable, Failure>,
    },
    /// A describe came to its end.
    Described {
        /// The describe.
        id: RequestId,
        /// What the instance says of itself.
        result: Result<Description, Failure>,
    },
    /// A call came to its end.
    Returned {
        /// The call.
        id: RequestId,
        /// Its results.
        result: Result<Reply, CallFailed>,
    },
    /// The other end asks for a binding; answer with [`answer_bind`](crate::Connection::answer_bind).
    IncomingBind {
        /// The request.
        id: RequestId,
        /// The instance's name here.
        instance: String,
        /// The interface and its functions.
        want: BindRequest,
    },
    /// The other end gave a binding back: nothing will call through it any more.
    Unbound {
        /// The binding.
        binding: BindingId,
    },
    /// The other end asks for a ledger; answer with [`answer_describe`](crate::Connection::answer_describe).
    IncomingDescribe {
        /// The request.
        id: RequestId,
        /// The instance's name here.
        instance: String,
    },
    /// The other end calls; answer with [`answer_call`](crate::Connection::answer_call).
    IncomingCall {
        /// The request.
        id: RequestId,
        /// A binding that was answered for, and not given back.
        binding: BindingId,
        /// A function within it.
        function: FunctionIndex,
        /// Deadline, fuel, chain and trace.
        cx: CallContext,
        /// The arguments, packed and not looked at.
        args: Bytes,
    },
    /// The other end gave a request up: stop it, and don't answer.
    IncomingCancelled {
        /// The request.
        id: RequestId,
    },
    /// A request of the other end was declined in here, and has its answer: there is nothing to do but to log it.
    Refused {
        /// The request.
        id: RequestId,
        /// Why.
        failure: Failure,
    },
    /// The other end makes one call without a hello; answer [`RequestId::NONE`] with
    /// [`answer_call`](crate::Connection::answer_call), which ends the connection.
    IncomingSelfContained(SelfContainedCall),
    /// The other end takes no request more, and closes when it has answered those it took: what was not yet served has
    /// ended as *not sent*, and new requests need another connection.
    GoingAway,
}

/// Why a connection must end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The bytes are no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame over what this end announced.
    #[error("frame of {size} bytes, limit {max}")]
    FrameTooLarge {
        /// Its size, in bytes.
        size: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// The other end speaks another version.
    #[error("protocol version {theirs} there, {ours} here")]
    Version {
        /// This end's.
        ours: u32,
        /// The other end's.
        theirs: u32,
    },
    /// The other end did not say hello in time.
    #[error("no hello within {waited_ms} ms")]
    NoHello {
        /// How long it had, in milliseconds.
        waited_ms: u64,
    },
    /// Something else came where a hello must.
    #[error("{found} before hello")]
    HelloExpected {
        /// What came.
        found: Kind,
    },
    /// A frame that has no place once the connection is open.
    #[error("{found} on an open connection")]
    OutOfPlace {
        /// What came.
        found: Kind,
    },
    /// An answer to a request that was never sent, or a cancel of one that never came.
    #[error("{found} names request {id}, which was never made")]
    NeverIssued {
        /// What came.
        found: Kind,
        /// The number it names.
        id: RequestId,
    },
    /// An answer of another kind than its request.
    #[error("{found} answers request {id}, which is of another kind")]
    WrongAnswer {
        /// What came.
        found: Kind,
        /// The request.
        id: RequestId,
    },
    /// A function table of another size than was asked for.
    #[error("bind {id} asked for {wanted} functions and got {found}")]
    WrongTable {
        /// The bind.
        id: RequestId,
        /// How many were asked for.
        wanted: u32,
        /// How many the table has.
        found: u32,
    },
    /// A request whose number is not above all before it.
    #[error("request {id} after request {last}")]
    IdNotGrowing {
        /// The number.
        id: RequestId,
        /// The highest before it.
        last: RequestId,
    },
    /// A binding that was never made is given back.
    #[error("binding {binding} was never made")]
    NeverBound {
        /// The binding.
        binding: BindingId,
    },
    /// The other end makes us answer and does not read the answers.
    #[error("{frames} frames wait to be read")]
    NotReading {
        /// How many.
        frames: usize,
    },
    /// The other end gave no sign of life.
    #[error("no sign of life within {waited_ms} ms")]
    Silent {
        /// How long it had, in milliseconds.
        waited_ms: u64,
    },
    /// An answer to a ping that was never sent.
    #[error("{found} names ping {number}, which was never sent")]
    NeverPinged {
        /// What came.
        found: Kind,
        /// The number it names.
        number: u64,
    },
    /// A frame of a feature that its sender's hello does not list.
    #[error("{found} of a peer whose hello does not list it")]
    NotAnnounced {
        /// What came.
        found: Kind,
    },
    /// A frame that may come once came again.
    #[error("{found} came twice")]
    Twice {
        /// What came.
        found: Kind,
    },
    /// A chunk that the other end was given no credit for.
    #[error("a chunk of request {id} beyond what may be under way")]
    OverCredit {
        /// The request.
        id: RequestId,
    },
    /// Chunks that come to more than was announced.
    #[error("the chunks of request {id} come to more than {size} bytes")]
    Overrun {
        /// The request.
        id: RequestId,
        /// What was announced, in bytes.
        size: usize,
    },
    /// A payload in chunks that is empty, or over what a value may be.
    #[error("request {id} announces {size} bytes in chunks, 1 to {max} are sent")]
    PayloadSize {
        /// The request.
        id: RequestId,
        /// What was announced, in bytes.
        size: u64,
        /// The limit, in bytes.
        max: u64,
    },
    /// More credit than anybody can have used.
    #[error("credit for more than a window holds")]
    CreditOverflow,
    /// The other end says why it closes.
    #[error("the other end closed: {0}")]
    Farewell(Failure),
}

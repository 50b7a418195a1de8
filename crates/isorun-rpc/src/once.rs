//! Calls that name their target in full, for transports that keep no connection.

use std::sync::Arc;

use bytes::Bytes;
use isorun_core::{
    BindRequest, CallContext, CallFailed, Directory, Failure, Fault, FunctionIndex, PeerIdentity, Refusal, Reply,
    Transport, TransportError,
};
use neorpc::{Companions, FRAME_BYTES_MAX, FailureFrame, Frame, ReplyFrame, RequestId, SelfContainedCall};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use crate::observe::{Offered, Served};
use crate::peer::{not_sent, now};
use crate::router;

/// A function, named in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallTarget {
    /// The instance's name where it runs.
    pub instance: String,
    /// `ns:pkg/iface@version`, or `None` for a function at the root.
    pub interface: Option<String>,
    /// The function's name.
    pub function: String,
    /// Its structural hash, as a bind has it.
    pub hash: [u8; 32],
}

/// Calls a function through [`Transport::call`]: one request, one reply, no connection.
///
/// # Errors
/// A [`Failure`]: *not sent* where the transport did not get there, *unknown* where the answer did not come back.
pub async fn call_once(
    transport: &dyn Transport,
    target: CallTarget,
    cx: &CallContext,
    args: Bytes,
) -> Result<Reply, CallFailed> {
    let started = Instant::now();
    let CallTarget { instance, interface, function, hash } = target;
    let with = Companions::of(cx, now());
    if with.deadline_ms == 0 {
        return Err(Failure::Deadline { waited_ms: 0 }.into());
    }
    let call = SelfContainedCall { instance, interface, function, hash, with, args };
    let frame = call.encode().map_err(|error| not_sent(error.to_string()))?;
    let answer = timeout_at(Instant::from_std(cx.deadline), transport.call(frame))
        .await
        .map_err(|_| router::deadline(started))?
        .map_err(|error| match error {
            TransportError::Unreachable { .. } | TransportError::FrameSize { .. } => not_sent(error.to_string()),
            _ => Failure::Unknown { cause: error.to_string() },
        })?;
    match Frame::decode(&answer) {
        Ok(Frame::Reply(ReplyFrame { id: RequestId::NONE, reply })) => Ok(reply),
        Ok(Frame::Failure(FailureFrame { id: RequestId::NONE, failed })) => Err(failed),
        Ok(other) => Err(Failure::Unknown { cause: format!("answered with {}", other.kind()) }.into()),
        Err(error) => Err(Failure::Unknown { cause: format!("answered with a {error}") }.into()),
    }
}

/// Answers one self-contained call with one frame: a reply or a failure.
///
/// Whatever `request` holds, the answer is a frame; bytes that are no self-contained call get
/// [`BadArguments`](Refusal::BadArguments).
pub async fn handle_incoming_rpc(directory: &dyn Directory, request: Bytes, caller: &PeerIdentity) -> Bytes {
    let result = match Frame::decode(&request) {
        Ok(Frame::SelfContained(call)) => serve(directory, call, caller).await,
        Ok(other) => Err(bad_arguments(format!("a {} frame where a self-contained call belongs", other.kind()))),
        Err(error) => Err(bad_arguments(error.to_string())),
    };
    encode(result)
}

/// Finds, binds and calls, all within the caller's time.
pub(crate) async fn serve(
    directory: &dyn Directory,
    call: SelfContainedCall,
    caller: &PeerIdentity,
) -> Result<Reply, CallFailed> {
    let started = Instant::now();
    let SelfContainedCall { instance, interface, function, hash, with, args } = call;
    let mut cx = with.context(now());
    let callee = directory.find(&instance, caller)?;
    let want = BindRequest { interface, functions: vec![(function, hash)] };
    let bind = timeout_at(Instant::from_std(cx.deadline), callee.bind(&want));
    let bound: Arc<_> = bind.await.map_err(|_| router::deadline(started))??;
    let served = Served::begin(&Offered::new(instance, want), caller, FunctionIndex(0), &mut cx, args.len());
    let span = served.span().clone();
    let result = router::call(&*bound, FunctionIndex(0), &cx, args).instrument(span).await;
    served.end(&result);
    result
}

fn encode(result: Result<Reply, CallFailed>) -> Bytes {
    let id = RequestId::NONE;
    let failed = match result {
        Ok(reply) => {
            let frame = ReplyFrame { id, reply };
            let size = frame.encoded_len();
            match frame.encode() {
                Ok(bytes) => return bytes,
                Err(_) => {
                    let detail = format!("a reply frame of {size} bytes, the limit is {FRAME_BYTES_MAX}");
                    let failure = Fault::BadResults { detail }.into();
                    CallFailed { failure, fuel_used: frame.reply.fuel_used }
                }
            }
        }
        Err(failed) => failed,
    };
    let fuel_used = failed.fuel_used;
    let failure = |failure| Frame::Failure(FailureFrame { id, failed: CallFailed { failure, fuel_used } }).encode();
    failure(failed.failure.clone()).unwrap_or_else(|_| {
        // Only a ledger is ever too large; all else in a failure is clipped.
        let plain = match failed.failure {
            Failure::Refused(Refusal::Incompatible { detail, ledger: _ }) => {
                Refusal::Incompatible { detail, ledger: Bytes::new() }.into()
            }
            other => other,
        };
        failure(plain).unwrap_or_default()
    })
}

fn bad_arguments(detail: String) -> CallFailed {
    Failure::from(Refusal::BadArguments { detail }).into()
}

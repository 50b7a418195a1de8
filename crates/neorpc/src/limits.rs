//! What one connection may hold, and what one frame may.

/// The version of the protocol that this crate speaks.
pub const VERSION: u32 = 1;

/// Requests that one end may have under way with the other at once: binds, describes and calls together.
///
/// A thousand calls of a millisecond each are a million calls a second, more than one connection carries.
pub const CALLS_MAX: u32 = 1024;

/// Bindings that one end may hold with the other at once.
///
/// An interface of an instance takes one, however many call through it.
pub const BINDINGS_MAX: u32 = 1024;

/// Functions of one binding; the largest interface in WASI has about thirty.
pub const FUNCTIONS_MAX: usize = 1024;

/// Longest name of an instance, interface or function, in bytes.
pub const NAME_BYTES_MAX: usize = 512;

/// Longest text in a failure, in bytes; a longer one is clipped when it is sent.
pub const TEXT_BYTES_MAX: usize = 1024;

/// Features that a hello may list.
pub const FEATURES_MAX: usize = 64;

/// Largest frame, in bytes: 64 KiB less than the 4 MiB that a transport carries.
pub const FRAME_BYTES_MAX: usize = (4 << 20) - (64 << 10);

/// Most bytes of arguments or results in one chunk.
///
/// What a small call may have to wait for: 64 KiB pass through a loopback socket in some tens of microseconds.
pub const CHUNK_BYTES_MAX: usize = 64 << 10;

/// Arguments and results up to this size, in bytes, travel whole in the frame of their call or reply, larger ones in
/// chunks, where both ends can.
pub const WHOLE_BYTES_MAX: usize = 128 << 10;

/// Bytes of chunks that may be under way to an end on one connection before it gives credit, unless its hello says otherwise.
///
/// This is what lies in the sockets between two ends before a small call: half a millisecond over loopback. Over a network
/// with a round trip of 20 ms it is 50 MB a second.
pub const WINDOW_BYTES: usize = 1 << 20;

/// Smallest window that a hello may announce, in bytes.
pub const WINDOW_BYTES_MIN: usize = 256 << 10;

/// Largest window that counts, in bytes; a larger one is cut to it.
pub const WINDOW_BYTES_MAX: usize = 16 << 20;

/// Chunks that may be under way to an end on one connection before it gives credit. Of one call or reply: half as many, and
/// half of the bytes.
pub const WINDOW_FRAMES: u32 = 1024;

/// Bytes of results that the peer may send in chunks at once; further ones wait for credit.
pub const RESULTS_BYTES_MAX: usize = 24 << 20;

/// Smallest frame limit that a peer may announce, in bytes: every frame but those that carry a guest's values, a ledger
/// or a long table of functions fits it.
pub const FRAME_BYTES_MIN: usize = 8192;

/// Bytes of arguments that all calls of a peer may hold at once, those running and those waiting alike.
///
/// Bounds what a peer can make us hold well under `CALLS_MAX * FRAME_BYTES_MAX`: with answers of the same size, less than
/// 64 MiB a connection.
pub const ARGS_BYTES_MAX: usize = 24 << 20;

/// Bytes waiting to be sent above which this end makes no new request.
pub const QUEUE_BYTES_SOFT: usize = 64 << 20;

/// Bytes of answers waiting to be sent above which no new call of the peer is taken.
pub const ANSWER_BYTES_SOFT: usize = 24 << 20;

/// Bytes of answers waiting to be sent above which a reply becomes a failure that says so.
///
/// Far above the other: what runs when that is met still brings its results, and they are not to be lost on a peer that
/// reads them.
pub const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Frames waiting to be sent above which the peer is taken not to read, and the connection closes.
///
/// A peer that reads frees an answer's place in here before it asks for more.
pub const QUEUE_FRAMES_MAX: usize = 4 * CALLS_MAX as usize;

/// How long a peer may take to say hello, in milliseconds.
pub const HELLO_MS_MAX: u64 = 5_000;

/// How long an end may be silent before it is asked for a sign of life, in milliseconds.
pub const PING_IDLE_MS: u64 = 10_000;

/// How long the sign of life may take, in milliseconds: less than the usual silence of a host that is busy for a moment
/// would make connections end that are sound.
pub const PONG_MS: u64 = 10_000;

/// Longest time that a call may be given, in milliseconds: a day. Longer ones are cut to it.
pub const DEADLINE_MS_MAX: u64 = 86_400_000;

// A chunk has room for something.
const _: () = assert!(FRAME_BYTES_MIN > 1024);
// The longest failure: three texts, its own sentence, keys and numbers.
const _: () = assert!(FRAME_BYTES_MIN > 5 * TEXT_BYTES_MAX + 1024);
// A self-contained call without arguments: three names, a full chain.
const _: () = assert!(FRAME_BYTES_MIN > 3 * NAME_BYTES_MAX + 16 * isorun_core::CHAIN_MAX + 1024);
const _: () = assert!(FRAME_BYTES_MIN <= FRAME_BYTES_MAX && FRAME_BYTES_MAX <= isorun_core::FRAME_BYTES_MAX);
// A dead peer is noticed before a call to it runs out of its usual time.
const _: () = assert!(PING_IDLE_MS + PONG_MS < isorun_core::DEADLINE_MS_DEFAULT);
// One frame always fits what may wait.
const _: () = assert!(FRAME_BYTES_MAX <= QUEUE_BYTES_SOFT);
const _: () = assert!(FRAME_BYTES_MAX <= ANSWER_BYTES_SOFT && ANSWER_BYTES_SOFT <= ANSWER_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_MAX <= ARGS_BYTES_MAX);
// One value always fits what may be held, and a chunk with its header a frame.
const VALUE_BYTES_MAX: usize = neopack::VALUE_BYTES_MAX as usize;
const _: () = assert!(VALUE_BYTES_MAX <= ARGS_BYTES_MAX && VALUE_BYTES_MAX <= RESULTS_BYTES_MAX);
const _: () = assert!(VALUE_BYTES_MAX <= QUEUE_BYTES_SOFT);
const _: () = assert!(CHUNK_BYTES_MAX <= WHOLE_BYTES_MAX && WHOLE_BYTES_MAX < FRAME_BYTES_MAX);
// A sender that can't send a whole chunk has used half of its window, so that credit is on its way.
const _: () = assert!(4 * CHUNK_BYTES_MAX <= WINDOW_BYTES_MIN);
const _: () = assert!(WINDOW_BYTES_MIN <= WINDOW_BYTES && WINDOW_BYTES <= WINDOW_BYTES_MAX);
// What one connection may hold of answers no larger than their calls, and what the frames in its channel's hands take beside.
const _: () = assert!(ARGS_BYTES_MAX + ANSWER_BYTES_SOFT + isorun_core::FRAME_BYTES_MAX < 64 << 20);
// The local end stops asking well before the queue counts as unread.
const _: () = assert!(QUEUE_FRAMES_MAX > 2 * CALLS_MAX as usize);

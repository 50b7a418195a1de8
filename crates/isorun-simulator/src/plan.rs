//! What a seed decides before anything happens.

use fastrand::Rng;

use crate::run::Options;

/// How long what heals may take after the work, in microseconds: a silent end is asked after 10 s and given up after 20.
pub(crate) const SETTLE_US: u64 = 32_000_000;

/// How long an end may take to drain when all is quiet, in microseconds.
pub(crate) const LEAVE_US: u64 = 5_000_000;

/// How long a bind may take, in microseconds.
pub(crate) const BIND_US: u64 = 2_000_000;

/// The longest time that a call gets, in microseconds.
pub(crate) const CALL_US_MAX: u64 = 4_000_000;

// Whatever is lost during the work is noticed before all must be quiet.
const _: () = assert!(SETTLE_US > 1000 * (neorpc::PING_IDLE_MS + neorpc::PONG_MS) + CALL_US_MAX + 5_000_000);

/// The shape of one run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) hosts: usize,
    pub(crate) work_us: u64,
    /// Mean time between two faults, in microseconds; `None` where there are none.
    pub(crate) fault_us: Option<u64>,
    /// Least time that a frame takes, in microseconds, by channel drawn from this range.
    pub(crate) delay_us: (u64, u64),
    /// What is added to each frame, at most, in microseconds.
    pub(crate) jitter_us: u64,
    /// Bytes that a channel carries in a microsecond.
    pub(crate) bytes_per_us: u64,
    /// Bytes that are under way in one direction, at most, but for one frame.
    pub(crate) room_bytes: usize,
    /// How long a connection's shell may take to look at it, at most, in microseconds.
    pub(crate) lag_us: u64,
    /// Bytes that a shell hands to the channel at once.
    pub(crate) hand_bytes: usize,
    /// Frames that a shell hands to the channel at once.
    pub(crate) hand_frames: usize,
    pub(crate) limits: neorpc::PeerLimits,
}

impl Plan {
    pub(crate) fn draw(rng: &mut Rng, options: &Options) -> Self {
        let hosts = options.hosts.unwrap_or_else(|| rng.usize(3..=8)).max(2);
        let slowest = *pick(rng, &[200, 1_000, 5_000, 50_000]);
        let limits = match rng.u32(..4) {
            0 => neorpc::PeerLimits {
                frame_bytes_max: rng.usize(neorpc::FRAME_BYTES_MIN..200_000),
                calls_max: rng.u32(1..12),
                bindings_max: rng.u32(1..6),
                window_bytes: neorpc::WINDOW_BYTES_MIN,
            },
            1 => neorpc::PeerLimits { window_bytes: neorpc::WINDOW_BYTES_MIN, ..neorpc::PeerLimits::default() },
            _ => neorpc::PeerLimits::default(),
        };
        Self {
            hosts,
            work_us: options.work_ms.map_or_else(|| rng.u64(500_000..3_000_000), |ms| ms * 1000),
            fault_us: options.faults.then(|| *pick(rng, &[60_000, 200_000, 800_000])),
            delay_us: (20, slowest),
            jitter_us: *pick(rng, &[0, 100, 1_000, slowest]),
            bytes_per_us: *pick(rng, &[5, 50, 1_000]),
            room_bytes: *pick(rng, &[2 << 10, 16 << 10, 64 << 10, 1 << 20]),
            lag_us: *pick(rng, &[0, 50, 1_000]),
            hand_bytes: *pick(rng, &[1, 8 << 10, 256 << 10]),
            hand_frames: *pick(rng, &[1, 4, 256]),
            limits,
        }
    }
}

/// One of several, each as likely.
pub(crate) fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(..from.len())]
}

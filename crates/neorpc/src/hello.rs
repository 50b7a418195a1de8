//! The first frame each way.

use crate::codec::{Reader, Writer, required, set};
use crate::frame::FrameError;
use crate::limits::{
    BINDINGS_MAX, CALLS_MAX, FEATURES_MAX, FRAME_BYTES_MAX, FRAME_BYTES_MIN, NAME_BYTES_MAX, VERSION, WINDOW_BYTES,
    WINDOW_BYTES_MAX, WINDOW_BYTES_MIN,
};

/// The feature of an end that answers a ping, and may send one.
pub const FEATURE_PING: &str = "ping";

/// The feature of an end that understands a going-away, and may send one.
pub const FEATURE_GOING_AWAY: &str = "going-away";

/// The feature of an end that takes large payloads in chunks, and may send them so.
pub const FEATURE_CHUNKS: &str = "chunks";

/// What one end may ask of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerLimits {
    /// Largest frame this end accepts, in bytes.
    pub frame_bytes_max: usize,
    /// Requests this end serves at once.
    pub calls_max: u32,
    /// Bindings this end holds at once.
    pub bindings_max: u32,
    /// Bytes of chunks that may be under way to this end before it gives credit.
    pub window_bytes: usize,
}

impl Default for PeerLimits {
    fn default() -> Self {
        Self {
            frame_bytes_max: FRAME_BYTES_MAX,
            calls_max: CALLS_MAX,
            bindings_max: BINDINGS_MAX,
            window_bytes: WINDOW_BYTES,
        }
    }
}

impl PeerLimits {
    /// These limits, brought into the range that the protocol knows.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self {
            frame_bytes_max: self.frame_bytes_max.clamp(FRAME_BYTES_MIN, FRAME_BYTES_MAX),
            calls_max: self.calls_max.clamp(1, CALLS_MAX),
            bindings_max: self.bindings_max.clamp(1, BINDINGS_MAX),
            window_bytes: self.window_bytes.clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX),
        }
    }
}

/// Version, limits and features of the end that says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The version of the protocol that this end speaks.
    pub version: u32,
    /// What the other end may ask of it.
    pub limits: PeerLimits,
    /// What it can do beyond the version; unknown ones mean nothing.
    pub features: Vec<String>,
}

impl Hello {
    /// This crate's own hello.
    #[must_use]
    pub fn new(limits: PeerLimits) -> Self {
        let features = [FEATURE_CHUNKS, FEATURE_GOING_AWAY, FEATURE_PING].map(str::to_owned).into();
        Self { version: VERSION, limits: limits.clamped(), features }
    }

    /// Whether it lists that feature.
    #[must_use]
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|listed| listed == feature)
    }

    pub(crate) fn write(&self, out: &mut Writer) -> Result<(), FrameError> {
        let chunks = self.has(FEATURE_CHUNKS);
        out.map(if chunks { 6 } else { 5 })?;
        out.key("neorpc")?;
        out.u32(self.version)?;
        out.key("frame-bytes-max")?;
        out.u32(u32::try_from(self.limits.frame_bytes_max).unwrap_or(u32::MAX))?;
        out.key("calls-max")?;
        out.u32(self.limits.calls_max)?;
        out.key("bindings-max")?;
        out.u32(self.limits.bindings_max)?;
        if chunks {
            out.key("window-bytes")?;
            out.u32(u32::try_from(self.limits.window_bytes).unwrap_or(u32::MAX))?;
        }
        out.key("features")?;
        out.list(self.features.len())?;
        for feature in &self.features {
            out.name("feature", feature)?;
        }
        out.list_end()?;
        out.map_end()
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        let (mut version, mut frame, mut calls, mut bindings, mut window) = (None, None, None, None, None);
        let mut features = None;
        for _ in 0..input.map()? {
            match input.key()? {
                "neorpc" => set(&mut version, "neorpc", input.u32()?)?,
                "frame-bytes-max" => set(&mut frame, "frame-bytes-max", input.u32()?)?,
                "calls-max" => set(&mut calls, "calls-max", input.u32()?)?,
                "bindings-max" => set(&mut bindings, "bindings-max", input.u32()?)?,
                "window-bytes" => set(&mut window, "window-bytes", input.u32()?)?,
                "features" => set(&mut features, "features", read_features(input)?)?,
                _ => input.skip()?,
            }
        }
        input.map_end()?;
        let version = required(version, "neorpc")?;
        if version != VERSION {
            // Nothing but the version is sure to mean the same there.
            return Ok(Self { version, limits: PeerLimits::default(), features: Vec::new() });
        }
        let limits = PeerLimits {
            frame_bytes_max: usize::try_from(required(frame, "frame-bytes-max")?).unwrap_or(usize::MAX),
            calls_max: required(calls, "calls-max")?,
            bindings_max: required(bindings, "bindings-max")?,
            window_bytes: window.map_or(WINDOW_BYTES, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        };
        let mut hello = Self { version, limits, features: required(features, "features")? };
        let low = limits.frame_bytes_max < FRAME_BYTES_MIN || limits.calls_max == 0 || limits.bindings_max == 0;
        if low || limits.window_bytes < WINDOW_BYTES_MIN {
            return Err(FrameError::LimitTooLow);
        }
        match hello.has(FEATURE_CHUNKS) {
            true => _ = required(window, "window-bytes")?,
            // It says nothing about what it does not take.
            false => hello.limits.window_bytes = WINDOW_BYTES,
        }
        Ok(hello)
    }
}

fn read_features(input: &mut Reader<'_>) -> Result<Vec<String>, FrameError> {
    let count = input.list("features", FEATURES_MAX)?;
    let mut features = Vec::new();
    for _ in 0..count {
        features.push(input.name("feature", NAME_BYTES_MAX)?);
    }
    input.list_end()?;
    Ok(features)
}

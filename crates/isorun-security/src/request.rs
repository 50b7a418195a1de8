//! What can be granted, and what can be asked for.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use isorun_core::{ComponentId, PeerIdentity};

use crate::Capability;

/// Something that somebody is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request<'a> {
    /// Satisfy imports of a guest.
    Link {
        /// The functions that the guest gets.
        wanted: &'a Capability,
    },
    /// Show a guest a directory of the host.
    Mount(&'a Mount),
    /// Let a guest use a part of WASI.
    UseWasi(WasiFeature),
    /// Let a peer find an instance, because there is something in it that it may call.
    Serve {
        /// The instance's registered name, as the peer wrote it.
        instance: &'a str,
        /// Who asks.
        peer: &'a PeerIdentity,
    },
    /// Let a peer call a function.
    Call {
        /// The instance's registered name.
        instance: &'a str,
        /// The interface, or `None` for a function at the root.
        interface: Option<&'a str>,
        /// The function, as the peer wrote it.
        function: &'a str,
        /// Who asks.
        peer: &'a PeerIdentity,
    },
    /// Put a message of a component of this node on its way.
    Send {
        /// Who sends it.
        from: &'a ComponentId,
        /// Whom it is for, here or on another node.
        to: &'a ComponentId,
    },
    /// Take a message that comes from another node.
    Deliver {
        /// The node that brings it.
        peer: &'a PeerIdentity,
        /// Whom it is for, as the peer wrote it.
        to: &'a ComponentId,
    },
    /// Accept connections that are neither encrypted nor authenticated.
    Listen {
        /// Whether only this machine can reach the address.
        address_is_loopback: bool,
    },
}

/// A directory of the host, and where a guest sees it.
///
/// Paths are compared part by part and as they are written: no link is followed,
/// so a grant and a request must both have resolved them, or both not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The directory on the host.
    pub host: PathBuf,
    /// The path in the guest.
    pub guest: PathBuf,
    /// What the guest may do there.
    pub access: Access,
}

impl Mount {
    /// `host`, seen by a guest as `guest`.
    pub fn new(host: impl Into<PathBuf>, guest: impl Into<PathBuf>, access: Access) -> Self {
        Self { host: host.into(), guest: guest.into(), access }
    }

    /// Whether a grant of this mount is enough for `wanted`.
    pub(crate) fn covers(&self, wanted: &Self) -> bool {
        let access = match (self.access, wanted.access) {
            (Access::ReadWrite, Access::ReadOnly | Access::ReadWrite) | (Access::ReadOnly, Access::ReadOnly) => true,
            (Access::ReadOnly, Access::ReadWrite) => false,
        };
        access && self.host == wanted.host && self.guest == wanted.guest
    }
}

/// What a guest may do in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// List and read.
    ReadOnly,
    /// List, read, create, change and remove.
    ReadWrite,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "read-only",
            Self::ReadWrite => "read-write",
        })
    }
}

/// A part of WASI that a guest gets only by name.
///
/// Directories are granted one by one, as a [`Mount`]; sockets are not offered.
///
/// ```
/// use isorun_security::WasiFeature;
///
/// assert_eq!("clocks".parse(), Ok(WasiFeature::Clocks));
/// let error = "sockets".parse::<WasiFeature>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "no WASI feature `sockets`; there are arguments, clocks, environment, random, stdio"
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum WasiFeature {
    /// Command-line arguments.
    Arguments,
    /// The wall clock and the monotonic clock.
    Clocks,
    /// Environment variables.
    Environment,
    /// Random numbers.
    Random,
    /// Standard input, output and error.
    Stdio,
}

impl WasiFeature {
    /// All there are, in the order of their names.
    pub const ALL: [Self; 5] = [Self::Arguments, Self::Clocks, Self::Environment, Self::Random, Self::Stdio];

    /// Its name, as `--wasi` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Arguments => "arguments",
            Self::Clocks => "clocks",
            Self::Environment => "environment",
            Self::Random => "random",
            Self::Stdio => "stdio",
        }
    }
}

impl fmt::Display for WasiFeature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for WasiFeature {
    type Err = UnknownFeature;

    fn from_str(name: &str) -> Result<Self, UnknownFeature> {
        Self::ALL
            .into_iter()
            .find(|feature| feature.name() == name)
            .ok_or_else(|| UnknownFeature { name: name.to_owned() })
    }
}

/// No part of WASI has that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no WASI feature `{name}`; there are {}", WasiFeature::ALL.map(WasiFeature::name).join(", "))]
pub struct UnknownFeature {
    /// The name.
    pub name: String,
}

/// Whom an instance is served to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Audience {
    /// Whoever reaches a listener.
    Anyone,
    /// Peers within this process.
    SameProcess,
    /// A peer that proved this name.
    Named(String),
}

impl Audience {
    pub(crate) fn includes(&self, peer: &PeerIdentity) -> bool {
        match (self, peer) {
            (Self::Anyone, _) | (Self::SameProcess, PeerIdentity::SameProcess) => true,
            (Self::Named(granted), PeerIdentity::Authenticated { name }) => granted == name,
            // Kinds of peers that are yet to come included: whoever is not named is not served.
            (Self::SameProcess | Self::Named(_), _) => false,
        }
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::SameProcess => f.write_str("this process"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

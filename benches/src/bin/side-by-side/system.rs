//! What is measured side by side.

use std::str::FromStr;

/// One way to call another process, or an anchor for those that are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    FloorTcp,
    IsorunTcp,
    IsorunUnix,
    IsorunLocal,
    IsorunFused,
    WrpcTcp,
    WrpcQuic,
    Tonic,
    Tarpc,
    HostFunc,
}

impl System {
    pub const ALL: [Self; 10] = [
        Self::FloorTcp,
        Self::IsorunTcp,
        Self::IsorunUnix,
        Self::IsorunLocal,
        Self::IsorunFused,
        Self::WrpcTcp,
        Self::WrpcQuic,
        Self::Tonic,
        Self::Tarpc,
        Self::HostFunc,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::FloorTcp => "floor-tcp",
            Self::IsorunTcp => "isorun-tcp",
            Self::IsorunUnix => "isorun-unix",
            Self::IsorunLocal => "isorun-local",
            Self::IsorunFused => "isorun-fused",
            Self::WrpcTcp => "wrpc-tcp",
            Self::WrpcQuic => "wrpc-quic",
            Self::Tonic => "tonic",
            Self::Tarpc => "tarpc",
            Self::HostFunc => "host-func",
        }
    }

    /// Whether it serves from a process of its own; the others are done within the calling process.
    pub fn has_callee(self) -> bool {
        !matches!(self, Self::IsorunLocal | Self::IsorunFused | Self::HostFunc)
    }

    /// Whether its side is in `benches/wrpc`.
    pub fn is_wrpc(self) -> bool {
        matches!(self, Self::WrpcTcp | Self::WrpcQuic)
    }

    /// The word that names it together with others, such as `wrpc`.
    fn family(self) -> &'static str {
        self.name().split('-').next().unwrap_or_default()
    }
}

/// The systems that one word of the command line stands for: one by its name, or a family of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Systems(pub Vec<System>);

impl FromStr for Systems {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let named: Vec<_> = System::ALL.into_iter().filter(|s| s.name() == word || s.family() == word).collect();
        if named.is_empty() {
            let names = System::ALL.map(System::name).join(", ");
            return Err(format!("there is {names}; `wrpc` and `isorun` stand for all of theirs"));
        }
        Ok(Self(named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_a_system_or_a_family() {
        assert_eq!("wrpc-quic".parse(), Ok(Systems(vec![System::WrpcQuic])));
        assert_eq!("wrpc".parse(), Ok(Systems(vec![System::WrpcTcp, System::WrpcQuic])));
        assert_eq!("tonic".parse(), Ok(Systems(vec![System::Tonic])));
        for word in ["", "grpc", "wrpc-", "Tonic"] {
            let error = word.parse::<Systems>().unwrap_err();
            assert!(error.contains("floor-tcp, isorun-tcp"), "{word}: {error}");
        }
    }
}

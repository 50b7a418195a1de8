//! What is said of connections that fail.

use std::io;

use quinn::{ConnectionError, ReadError, StoppedError, VarInt, WriteError};
use rustls::AlertDescription;

use crate::config::IDLE_MS_MAX;

/// A channel was dropped.
pub(crate) const DROPPED: VarInt = VarInt::from_u32(0);

/// Whoever connected did something else than open a stream.
pub(crate) const REFUSED: VarInt = VarInt::from_u32(1);

/// What QUIC adds to the number of a TLS alert.
const ALERTS: u64 = 0x100;

/// QUIC's number for a server that does not want the connection.
const CONNECTION_REFUSED: u64 = 2;

/// Why there is no connection, or no longer.
pub(crate) fn words(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(close) if close.error_code == DROPPED => "the other end closed it".into(),
        ConnectionError::ConnectionClosed(close) => match u64::from(close.error_code) {
            CONNECTION_REFUSED => "the other end refused the connection: it has no room for it, or is ending".into(),
            code => match u8::try_from(code.wrapping_sub(ALERTS)) {
                Ok(alert) => of_alert(AlertDescription::from(alert)),
                Err(_) => error.to_string(),
            },
        },
        // Its first words are those of QUIC, which say less than what follows.
        ConnectionError::TransportError(error) if !error.reason.is_empty() => error.reason.clone(),
        ConnectionError::TimedOut => format!("the other end was silent for {IDLE_MS_MAX} ms"),
        ConnectionError::Reset => "the other end knows nothing of it: it was restarted".into(),
        ConnectionError::ApplicationClosed(_)
        | ConnectionError::TransportError(_)
        | ConnectionError::VersionMismatch
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => error.to_string(),
    }
}

fn of_alert(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    let reason = match alert {
        Alert::CertificateRequired => "it wants a certificate",
        Alert::UnknownCA => "the authority that signed this end's certificate is not its own",
        Alert::CertificateExpired => "this end's certificate is past its time, or not yet in it",
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateUnknown
        | Alert::AccessDenied
        | Alert::DecryptError => return format!("the other end refused this end's certificate ({alert:?})"),
        Alert::NoApplicationProtocol => "it speaks another protocol",
        other => return format!("the other end refused the handshake ({other:?})"),
    };
    format!("the other end refused the handshake: {reason}")
}

pub(crate) fn of_read(error: ReadError) -> io::Error {
    match error {
        ReadError::ConnectionLost(error) => of_connection(&error),
        ReadError::Reset(_) => io::Error::new(io::ErrorKind::ConnectionReset, "the other end broke the stream off"),
        ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => error.into(),
    }
}

pub(crate) fn of_write(error: WriteError) -> io::Error {
    match error {
        WriteError::ConnectionLost(error) => of_connection(&error),
        WriteError::Stopped(_) => no_longer_read(),
        WriteError::ClosedStream | WriteError::ZeroRttRejected => error.into(),
    }
}

/// What waiting for the last bytes to arrive comes to.
///
/// A peer that closes the whole connection wants no more: as with TCP, where the bytes have left by then, that is no
/// failure of closing.
pub(crate) fn of_finish(outcome: Result<Option<VarInt>, StoppedError>) -> io::Result<()> {
    match outcome {
        Ok(None) | Err(StoppedError::ConnectionLost(ConnectionError::ApplicationClosed(_))) => Ok(()),
        Ok(Some(_)) => Err(no_longer_read()),
        Err(StoppedError::ConnectionLost(error)) => Err(of_connection(&error)),
        Err(error @ StoppedError::ZeroRttRejected) => Err(io::Error::other(error)),
    }
}

fn of_connection(error: &ConnectionError) -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, words(error))
}

fn no_longer_read() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the other end no longer reads")
}

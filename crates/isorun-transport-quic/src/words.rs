//! What is said of connections that fail.

use std::io;
use std::time::Duration;

use isorun_tls::refusal;
use quinn::{ConnectionError, ReadError, StoppedError, VarInt, WriteError};
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error};

use crate::config::IDLE_MS_MAX;

/// A channel was dropped.
pub(crate) const DROPPED: VarInt = VarInt::from_u32(0);

/// What QUIC adds to the number of a TLS alert.
const ALERTS: u64 = 0x100;

/// QUIC's number for a server that does not want the connection.
const CONNECTION_REFUSED: u64 = 2;

/// Why there is no connection, or no longer.
pub(crate) fn words(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(close) if close.error_code == DROPPED => "the other end closed it".into(),
        ConnectionError::ConnectionClosed(close) => match u64::from(close.error_code) {
            CONNECTION_REFUSED => "it refuses connections: it has no room for another one, or is ending".into(),
            code => alert(code).map_or_else(|| error.to_string(), |alert| refusal(&Error::AlertReceived(alert))),
        },
        ConnectionError::TransportError(error) => match alert(error.code.into()) {
            // Of what this end found quinn keeps the alert and the text.
            Some(AlertDescription::UnknownCA | AlertDescription::DecryptError) => {
                refusal(&CertificateError::UnknownIssuer.into())
            }
            Some(AlertDescription::CertificateRequired) => refusal(&Error::NoCertificatesPresented),
            Some(AlertDescription::NoApplicationProtocol) => refusal(&Error::NoApplicationProtocol),
            Some(_) if !error.reason.is_empty() => of_certificate(&error.reason),
            _ => error.to_string(),
        },
        ConnectionError::TimedOut => format!("the other end was silent for {IDLE_MS_MAX} ms"),
        ConnectionError::Reset => "the other end knows nothing of it: it was restarted".into(),
        ConnectionError::ApplicationClosed(_)
        | ConnectionError::VersionMismatch
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => error.to_string(),
    }
}

/// What is wrong with a certificate, of which quinn keeps what rustls says alone.
fn of_certificate(reason: &str) -> String {
    let expired = || -> Option<String> {
        let (_, rest) = reason.split_once("certificate expired:")?;
        let ago_s = rest.rsplit_once('(')?.1.strip_suffix(" seconds ago)")?.parse().ok()?;
        let [time, not_after] = [ago_s, 0].map(|s| UnixTime::since_unix_epoch(Duration::from_secs(s)));
        Some(refusal(&CertificateError::ExpiredContext { time, not_after }.into()))
    };
    let other_name = || {
        let (_, rest) = reason.split_once("certificate not valid for name \"")?;
        let (wanted, names) = rest.split_once("\"; certificate is only valid for ")?;
        Some(format!("its certificate is for {names}, not for {wanted}"))
    };
    expired().or_else(other_name).unwrap_or_else(|| format!("its certificate can't be accepted: {reason}"))
}

/// The TLS alert that a QUIC error stands for.
fn alert(code: u64) -> Option<AlertDescription> {
    u8::try_from(code.checked_sub(ALERTS)?).ok().map(AlertDescription::from)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As quinn keeps what rustls found.
    fn check(error: CertificateError, expected: &str) {
        assert_eq!(of_certificate(&Error::from(error).to_string()), expected);
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_in_the_words_of_tls_over_tcp() {
        let at = |s| UnixTime::since_unix_epoch(Duration::from_secs(s));
        let expired = CertificateError::ExpiredContext { time: at(1_000_000), not_after: at(740_800) };
        check(expired, "its certificate has expired, 3 days ago");
        let presented = vec!["kv".to_owned(), "127.0.0.1".to_owned()];
        let expected = "nohost".try_into().unwrap();
        let other = CertificateError::NotValidForNameContext { expected, presented };
        check(other, "its certificate is for kv or 127.0.0.1, not for nohost");
        let revoked = "its certificate can't be accepted: invalid peer certificate: Revoked";
        check(CertificateError::Revoked, revoked);
    }
}

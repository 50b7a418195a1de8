//! Why handshakes fail, in words.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use crate::IdentityError;
use crate::error::Ago;

/// What went wrong in a handshake, in words that say which end refuses which: `it` is the other one.
///
/// ```
/// use rustls::{AlertDescription, Error};
///
/// let said = isorun_tls::refusal(&Error::AlertReceived(AlertDescription::CertificateRequired));
/// assert_eq!(said, "it refuses whoever shows no certificate");
/// ```
#[must_use]
pub fn refusal(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate was not issued by the authority that peers are known by".into()
        }
        Error::InvalidCertificate(CertificateError::Other(other)) => other.to_string(),
        Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => {
            let ago_s = time.as_secs().saturating_sub(not_after.as_secs());
            format!("its certificate has expired, {} ago", Ago(ago_s))
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }) => {
            let in_s = not_before.as_secs().saturating_sub(time.as_secs());
            format!("its certificate is not valid yet: it will be in {}", Ago(in_s))
        }
        Error::InvalidCertificate(CertificateError::NotValidForNameContext { expected, presented }) => {
            format!("its certificate is for {}, not for {}", presented.join(", "), expected.to_str())
        }
        Error::InvalidCertificate(error) => format!("its certificate can't be accepted: {error}"),
        Error::NoCertificatesPresented => IdentityError::NoCertificate.to_string(),
        Error::AlertReceived(alert) => alert_said(*alert),
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
            "it does not speak TLS".into()
        }
        Error::PeerIncompatible(error) => format!("it does not speak TLS 1.3 as this end does: {error:?}"),
        Error::NoApplicationProtocol => OTHER_PROTOCOL.into(),
        error => error.to_string(),
    }
}

const OTHER_PROTOCOL: &str = "it does not say that it speaks isorun/1";

/// What the other end says of this one.
fn alert_said(alert: AlertDescription) -> String {
    match alert {
        // The second is what an authority of the same name comes to.
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "it refuses this end's certificate: another authority issued it than the one it knows".into()
        }
        AlertDescription::CertificateExpired => "it refuses this end's certificate: it has expired".into(),
        AlertDescription::CertificateRequired => "it refuses whoever shows no certificate".into(),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => format!("it refuses this end's certificate: {alert:?}"),
        AlertDescription::NoApplicationProtocol => OTHER_PROTOCOL.into(),
        alert => format!("it ended the handshake: {alert:?}"),
    }
}

//! Why the certificate of a server is not accepted, in words, and what to do about it.

use rustls::CertificateError;
use rustls::pki_types::UnixTime;

use crate::error::{Error, ErrorKind};

const DAY: u64 = 24 * 60 * 60;
/// So many names of a certificate are told.
const NAMES: usize = 5;

/// The error for a certificate that was shown at `place`.
pub(super) fn refused(place: &str, reason: &CertificateError) -> Error {
    let (what, hint) = in_words(reason);
    let message = format!("the certificate of {place} is not accepted: {what}");
    Error::new(ErrorKind::ConnectionFailed, message).with_hint(hint)
}

fn in_words(reason: &CertificateError) -> (String, &'static str) {
    const CLOCK: &str = "the server needs a new certificate, or this machine's clock is wrong";
    match reason {
        CertificateError::UnknownIssuer => (
            "it was issued by an authority that is not trusted here".to_owned(),
            "name its certificate authority in the `tls.ca` option",
        ),
        CertificateError::ExpiredContext { time, not_after } => {
            (format!("it expired {} ago", between(*not_after, *time)), CLOCK)
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            (format!("it will not be valid for another {}", between(*time, *not_before)), CLOCK)
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            let names: Vec<String> = presented.iter().take(NAMES).map(|name| plain(name)).collect();
            let more = if presented.len() > NAMES { ", …" } else { "" };
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            (
                format!("it is for {names}{more}, not for {expected}"),
                "use a name in the URL that the certificate is for",
            )
        }
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => (
            "it belongs to an authority, not to a server".to_owned(),
            "give the server a certificate that the authority has issued, or a self-signed one without `CA:TRUE`",
        ),
        other => (other.to_string(), "name its certificate authority in the `tls.ca` option"),
    }
}

/// The name in `DnsName("host")` or `IpAddress(::1)`, as which it is presented; the certificate says what it likes.
fn plain(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"').escape_debug().to_string()
}

fn between(from: UnixTime, to: UnixTime) -> String {
    match to.as_secs().saturating_sub(from.as_secs()) {
        seconds if seconds < 2 * DAY => format!("{seconds} s"),
        seconds => format!("{} days", seconds / DAY),
    }
}

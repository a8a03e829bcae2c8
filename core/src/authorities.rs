//! The certificates that a program trusts instead of the system's.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::error::{Error, ErrorKind};

/// Reads `tls.ca`: PEM text, or the path of a PEM file.
pub(crate) fn read(ca: &str) -> Result<RootCertStore, Error> {
    let invalid = |what: String| Error::new(ErrorKind::InvalidOption, format!("tls.ca: {what}"));
    // A path is named in the error, a text is long.
    let (certificates, given): (Result<Vec<CertificateDer<'static>>, _>, _) =
        if ca.contains("-----BEGIN") {
            (CertificateDer::pem_slice_iter(ca.as_bytes()).collect(), "a text".to_owned())
        } else {
            (CertificateDer::pem_file_iter(ca).and_then(Iterator::collect), format!("{ca:?}"))
        };
    let certificates = certificates.map_err(|error| {
        invalid(format!("expected PEM text or the path of a PEM file, got {given} ({error})"))
            .with_source(error)
    })?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(invalid(format!("expected at least one certificate, got {given} with none")));
    }
    Ok(roots)
}

//! TLS by rustls, with the ring provider named explicitly: a library must not install a default.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::{Error, ErrorKind};
use crate::options::TlsOptions;

/// The configuration for one connection attempt.
pub(super) fn config(options: &TlsOptions) -> Result<ClientConfig, Error> {
    let failed = |what: String| Error::new(ErrorKind::ConnectionFailed, format!("TLS: {what}"));
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?;
    if !options.verify {
        let verifier = Arc::new(Unverified(provider.signature_verification_algorithms));
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        return Ok(builder.with_no_client_auth());
    }
    let roots = match &options.ca {
        Some(ca) => given(ca)?,
        None => native()?,
    };
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn given(ca: &str) -> Result<RootCertStore, Error> {
    let invalid = |what: String| Error::new(ErrorKind::InvalidOption, format!("tls.ca: {what}"));
    let certificates: Vec<CertificateDer<'static>> = if ca.contains("-----BEGIN") {
        CertificateDer::pem_slice_iter(ca.as_bytes()).collect::<Result<_, _>>()
    } else {
        CertificateDer::pem_file_iter(ca).and_then(Iterator::collect)
    }
    .map_err(|error| {
        invalid(format!("expected PEM text or the path of a PEM file ({error})")).with_source(error)
    })?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(invalid("expected at least one certificate, got none".to_owned()));
    }
    Ok(roots)
}

fn native() -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let message = "TLS: no trusted certificates were found on this system";
        return Err(Error::new(ErrorKind::ConnectionFailed, message)
            .with_hint("name a certificate authority in the `tls.ca` option"));
    }
    Ok(roots)
}

/// Accepts any certificate, for `verify: false`; signatures are still checked.
#[derive(Debug)]
struct Unverified(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

//! A TLS proxy in front of a plain server, as users deploy it.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// The port of a proxy that shows the certificate and passes everything on to `target`.
pub async fn start(made: &CertifiedKey<KeyPair>, target: String) -> u16 {
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, target) = (acceptor.clone(), target.clone());
            tokio::spawn(async move {
                let mut inner = acceptor.accept(tcp).await?;
                let mut server = TcpStream::connect(target).await?;
                copy_bidirectional(&mut inner, &mut server).await
            });
        }
    });
    port
}

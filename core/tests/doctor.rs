//! What `letta-app doctor` says of TLS, and how it ends: the cause and the remedy. Of what else may be wrong,
//! `bindings-python/tests/test_cli.py` asks.
#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use letta_app_client::testing::{MockServer, ScriptOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedKey, IsCa, KeyPair, date_time_ymd};

mod tls_proxy;

/// Cargo builds it before the tests of the whole package, beside them.
fn letta_app() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    folder.join("letta_app").with_extension(std::env::consts::EXE_EXTENSION)
}

/// What `doctor` says, and its exit code; so many seconds it waits for an answer.
async fn doctor(url: String, ca: Option<PathBuf>, seconds: &str) -> (Option<i32>, String) {
    let mut command = Command::new(letta_app());
    command.args(["doctor", "--url", &url, "--timeout", seconds]).stdin(Stdio::null());
    command.env_remove("LETTA_TOKEN").env_remove("LETTA_URL");
    if let Some(ca) = ca {
        command.arg("--ca").arg(ca);
    }
    let done = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
    (done.status.code(), String::from_utf8(done.stdout).unwrap())
}

/// A self-signed certificate for `name`.
fn made(name: &str, change: impl FnOnce(&mut CertificateParams)) -> CertifiedKey<KeyPair> {
    let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
    change(&mut parameters);
    let signing_key = KeyPair::generate().unwrap();
    CertifiedKey { cert: parameters.self_signed(&signing_key).unwrap(), signing_key }
}

/// What `doctor` says of a server behind TLS with this certificate, which it is told to trust.
async fn told(certificate: &CertifiedKey<KeyPair>) -> (Option<i32>, String) {
    let server = MockServer::scripted(ScriptOptions::default()).unwrap();
    let port = tls_proxy::start(certificate, server.url().replace("ws://", "")).await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, certificate.cert.pem()).unwrap();
    doctor(format!("wss://localhost:{port}"), Some(ca), "10").await
}

fn assert_told((exit, text): &(Option<i32>, String), words: &[&str]) {
    assert_eq!(*exit, Some(3), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert_eq!(text.lines().count(), 2, "a cause and a remedy: {text}");
}

#[tokio::test]
async fn a_certificate_of_nobody_known() {
    let server = MockServer::scripted(ScriptOptions::default()).unwrap();
    let certificate = made("localhost", |_| {});
    let port = tls_proxy::start(&certificate, server.url().replace("ws://", "")).await;
    let told = doctor(format!("wss://localhost:{port}"), None, "10").await;
    assert_told(
        &told,
        &["TLS: the certificate of localhost", "an authority that is not trusted", "--ca FILE"],
    );
}

#[tokio::test]
async fn with_its_authority_all_is_well() {
    let (exit, text) = told(&made("localhost", |_| {})).await;
    assert_eq!(exit, Some(0), "{text}");
    assert!(text.contains("one socket, open after"), "{text}");
}

#[tokio::test]
async fn a_certificate_that_has_expired() {
    let certificate = made("localhost", |parameters| {
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2021, 1, 1);
    });
    let words = ["TLS: the certificate of localhost", "it expired", " days ago", "clock"];
    assert_told(&told(&certificate).await, &words);
}

#[tokio::test]
async fn a_certificate_of_the_future() {
    let certificate = made("localhost", |parameters| {
        parameters.not_before = date_time_ymd(4000, 1, 1);
    });
    let words =
        ["TLS: the certificate of localhost", "it will not be valid for another", " days", "clock"];
    assert_told(&told(&certificate).await, &words);
}

#[tokio::test]
async fn a_certificate_for_another_host() {
    let words = ["it is for letta.example, not for localhost", "use a name in the URL"];
    assert_told(&told(&made("letta.example", |_| {})).await, &words);
    let words = ["it is for 127.0.0.2, not for localhost", "use a name in the URL"];
    assert_told(&told(&made("127.0.0.2", |_| {})).await, &words);
}

/// What `openssl req -x509` makes where nothing else is asked for.
#[tokio::test]
async fn a_certificate_of_an_authority_in_place_of_a_servers() {
    let certificate = made("localhost", |parameters| {
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let words = ["it belongs to an authority, not to a server", "without `CA:TRUE`"];
    assert_told(&told(&certificate).await, &words);
}

#[tokio::test]
async fn a_server_without_tls() {
    let server = MockServer::scripted(ScriptOptions::default()).unwrap();
    let told = doctor(server.url().replace("ws://", "wss://"), None, "1").await;
    assert_told(&told, &["answers, but without TLS", "use ws:// in the URL"]);
}

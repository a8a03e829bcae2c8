//! Why there is no connection, and the remedy (protocol reference, sections 1 to 4).

use super::{Finding, Verdict};
use crate::cli::Exit;
use crate::error::{Error, ErrorKind};

/// How the start of a server is written in hints.
const START: &str = "start one: letta server --listen ws://127.0.0.1:4500";

/// What a connection that failed is due to.
pub(super) fn of_refusal(error: &Error, place: &str, has_token: bool) -> (Finding, Exit) {
    let message = error.message();
    let bad = |text: String| Finding::new("connection", Verdict::Bad, text);
    let with_hint = |finding: Finding| match error.hint() {
        Some(hint) => finding.hint(hint),
        None => finding,
    };
    let finding = if error.kind() == ErrorKind::Auth {
        return (of_credentials(message, has_token), Exit::Refused);
    } else if message.contains("connection refused") {
        bad(format!("nothing listens at {place}")).hint(START)
    } else if message.contains("HTTP 404") {
        bad(format!("the path of the URL is wrong: {message}"))
            .hint("an App Server listens on /ws, or on the path it was started with; leave the path out of the URL")
    } else if message.contains("by an authority that is not trusted") {
        bad(format!("TLS: {message}"))
            .hint("pass the authority's certificate, or a self-signed one itself, with --ca FILE")
    } else if message.contains("the certificate of") {
        with_hint(bad(format!("TLS: {message}")))
    } else if message.contains("TLS") {
        bad(format!("TLS: {message}")).hint(
            "an App Server itself speaks ws://, without TLS; wss:// needs a proxy in front of it",
        )
    } else if message.contains("not an App Server") || message.contains("not a WebSocket") {
        not_a_server(message)
    } else if message.contains("no connection to") || message.contains("no answer from") {
        bad(format!("{place} does not answer: {message}"))
            .hint("check the host; a firewall, or a VPN that is off, can also cause this")
    } else {
        with_hint(bad(message.to_owned()))
    };
    let usage = matches!(error.kind(), ErrorKind::InvalidOption);
    (finding, if usage { Exit::Usage } else { Exit::NoConnection })
}

/// A server that is asked for TLS and has none.
pub(super) fn without_tls(place: &str) -> Finding {
    Finding::new("connection", Verdict::Bad, format!("TLS: {place} answers, but without TLS"))
        .hint("use ws:// in the URL; an App Server itself has no TLS, wss:// needs a proxy in front of it")
}

fn of_credentials(message: &str, has_token: bool) -> Finding {
    let hint = if !has_token {
        "the server requires a token: set LETTA_TOKEN, or pass --token"
    } else if message.contains("expired") || message.contains("not valid yet") {
        "the token is a JWT that has expired or is not valid yet: make a new one, and check the clocks of both machines"
    } else if message.contains("issuer") || message.contains("audience") {
        "the token is for another server (its `iss` or `aud`): make one for this server"
    } else if message.contains("403") {
        "the server refuses requests that have an Origin header, as those from a browser or through some proxies do"
    } else {
        "the token is wrong: compare it with the one the server was started with (--ws-token-file, --ws-token-sha256)"
    };
    Finding::new("credentials", Verdict::Bad, message).hint(hint)
}

/// Something answers, but not as an App Server does.
pub(super) fn not_a_server(message: &str) -> Finding {
    Finding::new(
        "connection",
        Verdict::Bad,
        format!("something listens there, but it is not an App Server: {message}"),
    )
    .hint(format!("check the port, or {START}"))
}

/// A connection that was open and ended at once.
pub(super) fn of_loss(code: Option<u16>, reason: &str) -> Finding {
    let bad = |text: String| Finding::new("connection", Verdict::Bad, text);
    if reason.contains("already connected") {
        return bad(format!("this is an old server that allows only one client, and one is connected already ({reason})"))
            .hint("close the other client (a half-open connection ends after 90 s), or update the server to 0.29.7 or later, which allows several");
    }
    let code = code.map_or_else(String::new, |code| format!(" (code {code})"));
    bad(format!("the server ended the connection at once: {reason}{code}"))
        .hint("look for the reason in the server's own output")
}

//! The little HTTP a client needs: one request, one answer's head, and a short body.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Anything bytes go through: plain TCP, or TLS over it.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    /// When it is dropped, the connection is reset: what was written and is still in the system's buffers is
    /// never sent, also when the network comes back.
    fn reset(&self) {}
}

impl Io for TcpStream {
    fn reset(&self) {
        // Where the system does not do it, the connection ends as usual.
        self.set_zero_linger().unwrap_or_default();
    }
}

impl Io for TlsStream<TcpStream> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }
}

#[cfg(test)]
impl Io for tokio::io::DuplexStream {}

#[cfg(feature = "testing")]
impl Io for Box<dyn crate::testing::Stream> {}

/// The largest answer head, and the largest body that is read.
pub(super) const MAX_HEAD: usize = 16 * 1024;
pub(super) const MAX_BODY: usize = 64 * 1024;
pub(super) const MAX_HEADERS: usize = 64;

/// The head of an answer, and the bytes that came with it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The text behind the status; App Servers put the reason of a refusal there (section 4).
    pub(super) reason: String,
    headers: Vec<(String, String)>,
    pub(super) rest: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The status line for people.
    pub(super) fn status_line(&self) -> String {
        format!("HTTP {} {}", self.status, self.reason).trim_end().to_owned()
    }
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("the server closed the connection without an answer")]
    Closed,
    #[error("the server does not speak HTTP")]
    NotHttp,
    #[error("the server's answer is too long")]
    TooLong,
}

/// Sends a request's head and reads the answer's.
pub(super) async fn exchange(io: &mut dyn Io, request: &str) -> Result<Answer, HttpError> {
    io.write_all(request.as_bytes()).await?;
    io.flush().await?;
    let mut buffer = Vec::with_capacity(1024);
    loop {
        if io.read_buf(&mut buffer).await? == 0 {
            return Err(HttpError::Closed);
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        match parsed.parse(&buffer) {
            Ok(httparse::Status::Complete(length)) => {
                let headers = parsed.headers.iter().map(|header| {
                    let value = String::from_utf8_lossy(header.value).into_owned();
                    (header.name.to_owned(), value)
                });
                let answer = Answer {
                    status: parsed.code.unwrap_or_default(),
                    reason: parsed.reason.unwrap_or_default().to_owned(),
                    headers: headers.collect(),
                    rest: buffer.get(length..).unwrap_or_default().to_vec(),
                };
                return Ok(answer);
            }
            Ok(httparse::Status::Partial) if buffer.len() <= MAX_HEAD => {}
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Err(HttpError::TooLong);
            }
            Err(_) => return Err(HttpError::NotHttp),
        }
    }
}

/// Reads a body to its end, by its length or by the end of the connection.
pub(super) async fn body(io: &mut dyn Io, answer: &mut Answer) -> Result<Vec<u8>, HttpError> {
    let length = answer.header("content-length").and_then(|value| value.trim().parse().ok());
    let wanted: usize = length.unwrap_or(MAX_BODY);
    if wanted > MAX_BODY {
        return Err(HttpError::TooLong);
    }
    let mut body = std::mem::take(&mut answer.rest);
    while body.len() < wanted {
        if io.read_buf(&mut body).await? == 0 {
            break;
        }
    }
    body.truncate(wanted);
    Ok(body)
}

//! As much of WebSocket as a server needs that trusts its clients.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// What a client asked for.
#[derive(Debug, Default)]
pub struct Head {
    /// The path with its query.
    pub target: String,
    /// The key of the handshake, where it is one.
    pub key: Option<String>,
}

/// Reads the head of a request.
///
/// # Errors
///
/// When the connection ends before it does.
pub fn read_head(stream: &mut TcpStream) -> io::Result<Head> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        bytes.extend(byte);
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut head = Head::default();
    for (index, line) in text.lines().enumerate() {
        if index == 0 {
            line.split(' ').nth(1).unwrap_or_default().clone_into(&mut head.target);
        } else if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("sec-websocket-key")
        {
            head.key = Some(value.trim().to_owned());
        }
    }
    Ok(head)
}

/// Switches to WebSocket.
///
/// # Errors
///
/// When the connection is lost.
pub fn accept(stream: &mut TcpStream, key: &str) -> io::Result<()> {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = base64(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_usize, |word, byte| (word << 8) | usize::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place)) & 63];
            text.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

/// Appends a message of the server: text, or with `opcode` another.
pub fn append(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    let length = payload.len();
    if let Ok(short) = u8::try_from(length)
        && short < 126
    {
        out.push(short);
    } else if let Ok(medium) = u16::try_from(length) {
        out.push(126);
        out.extend(medium.to_be_bytes());
    } else {
        out.push(127);
        out.extend((length as u64).to_be_bytes());
    }
    out.extend(payload);
}

/// The messages of a client, from its bytes.
#[derive(Debug, Default)]
pub struct Incoming {
    bytes: Vec<u8>,
    start: usize,
}

impl Incoming {
    /// Waits for bytes. `false` at the end.
    ///
    /// # Errors
    ///
    /// When the connection is lost.
    pub fn fill(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        self.bytes.drain(..std::mem::take(&mut self.start));
        let mut chunk = vec![0; 64 * 1024];
        let count = stream.read(&mut chunk)?;
        self.bytes.extend(&chunk[..count]);
        Ok(count > 0)
    }

    /// The next whole message: its opcode and payload. Clients of these benchmarks send none in parts.
    pub fn next_message(&mut self) -> Option<(u8, Vec<u8>)> {
        let bytes = &self.bytes[self.start..];
        let (opcode, short) = (bytes.first()? & 15, usize::from(bytes.get(1)? & 127));
        let (length, head) = match short {
            126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
            127 => {
                let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
                (usize::try_from(length).ok()?, 10)
            }
            length => (length, 2),
        };
        let mask: [u8; 4] = bytes.get(head..head + 4)?.try_into().ok()?;
        let payload = bytes.get(head + 4..head + 4 + length)?;
        let payload =
            payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        self.start += head + 4 + length;
        Some((opcode, payload))
    }
}

//! A deterministic server: it answers commands and plays turns that were serialised before, with a thread for each
//! connection, and never waits for anything but its client.

pub mod turn;
pub mod wire;

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};

use crate::frames::{AGENT, Shape, runtime};
use turn::Turns;
use wire::{Incoming, accept, append, read_head};

/// How the double behaves.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The turns.
    pub shape: Shape,
    /// Each frame is written by itself instead of as many as there are.
    pub one_by_one: bool,
}

/// The stream socket of a split server. One client at a time has one.
type StreamSocket = Arc<Mutex<Option<TcpStream>>>;

/// Answers clients for ever.
///
/// # Errors
///
/// When no connection can be accepted any more.
pub fn serve(listener: &TcpListener, options: Options) -> io::Result<()> {
    let stream_socket = StreamSocket::default();
    loop {
        let (stream, _) = listener.accept()?;
        let stream_socket = Arc::clone(&stream_socket);
        let serve = move || Connection::serve(stream, options, &stream_socket).unwrap_or_default();
        thread::Builder::new().stack_size(128 * 1024).spawn(serve)?;
    }
}

struct Connection {
    stream: TcpStream,
    options: Options,
    turns: Option<Turns>,
    stream_socket: StreamSocket,
    conversations: HashMap<String, String>,
    /// Answers that were not written yet.
    out: Vec<u8>,
}

impl Connection {
    fn serve(
        mut stream: TcpStream,
        options: Options,
        stream_socket: &StreamSocket,
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let head = read_head(&mut stream)?;
        let Some(key) = head.key else { return answer(&mut stream, &head.target, options) };
        let single = options.shape.single;
        if single && head.target.contains("channel=") {
            return stream.write_all(b"HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n");
        }
        accept(&mut stream, &key)?;
        if head.target.contains("channel=stream") {
            *stream_socket.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(stream.try_clone()?);
        }
        let (turns, conversations, out) = (None, HashMap::new(), Vec::new());
        let stream_socket = Arc::clone(stream_socket);
        Self { stream, options, turns, stream_socket, conversations, out }.run()
    }

    fn run(&mut self) -> io::Result<()> {
        let mut incoming = Incoming::default();
        while incoming.fill(&mut self.stream)? {
            while let Some((opcode, payload)) = incoming.next_message() {
                match opcode {
                    8 => {
                        append(&mut self.out, 8, &payload);
                        return self.flush();
                    }
                    9 => append(&mut self.out, 10, &payload),
                    1 => self.command(&payload)?,
                    _ => {}
                }
                if self.options.one_by_one {
                    self.flush()?;
                }
            }
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    fn command(&mut self, payload: &[u8]) -> io::Result<()> {
        let command: Value = serde_json::from_slice(payload)?;
        let kind = command["type"].as_str().unwrap_or_default();
        let id = command["request_id"].as_str();
        match kind {
            "input" => return self.turn(&command, id),
            "runtime_start" => {
                let asked = command["conversation_id"].as_str().unwrap_or_default();
                let number: String = asked.chars().filter(char::is_ascii_digit).collect();
                let number =
                    format!("1{:0>9}", number.get(number.len().saturating_sub(9)..).unwrap_or("0"));
                let runtime = runtime(&number);
                let name = runtime["conversation_id"].as_str().unwrap_or_default().to_owned();
                self.conversations.insert(name, number);
                let response = json!({ "type": "runtime_start_response", "request_id": id, "success": true,
                    "runtime": runtime, "agent": { "id": AGENT, "name": "bench" }, "created": false });
                append(&mut self.out, 1, response.to_string().as_bytes());
            }
            _ => {
                let conversation = json!({ "id": "local-conv-1", "agent_id": AGENT, "archived": false,
                    "created_at": "2026-11-23T02:42:13.073Z", "updated_at": "2026-11-23T02:42:13.073Z",
                    "summary": "What the tests say, and what is to be done about it" });
                let response = json!({ "type": format!("{kind}_response"), "request_id": id, "success": true,
                    "conversations": [conversation, conversation] });
                append(&mut self.out, 1, response.to_string().as_bytes());
            }
        }
        Ok(())
    }

    fn turn(&mut self, command: &Value, request_id: Option<&str>) -> io::Result<()> {
        self.flush()?;
        let messages = command["payload"]["messages"].as_array().cloned().unwrap_or_default();
        let client_ids: Vec<String> = messages
            .iter()
            .filter_map(|message| Some(message["client_message_id"].as_str()?.to_owned()))
            .collect();
        let conversation = command["runtime"]["conversation_id"].as_str().unwrap_or_default();
        let Some(number) = self.conversations.get(conversation) else { return Ok(()) };
        let mut socket = if self.options.shape.single {
            self.stream.try_clone()?
        } else {
            let stream = self.stream_socket.lock().unwrap_or_else(PoisonError::into_inner);
            stream.as_ref().unwrap_or(&self.stream).try_clone()?
        };
        let one_by_one = self.options.one_by_one;
        let turns = self.turns.get_or_insert_with(|| Turns::new(self.options.shape));
        turns.play(number, request_id, &client_ids, |bytes, ends| {
            if !one_by_one {
                return socket.write_all(bytes);
            }
            let mut start = 0;
            for end in ends {
                socket.write_all(&bytes[start..*end])?;
                start = *end;
            }
            Ok(())
        })
    }
}

/// A plain request: what the server is.
fn answer(stream: &mut TcpStream, target: &str, options: Options) -> io::Result<()> {
    let info = json!({
        "type": "app_server_info_response", "request_id": "http-info", "success": true,
        "backend": "local", "letta_code_version": "0.30.28", "protocol_version": 1,
        "capabilities": { "agent_management": true, "conversation_management": true,
            "memory_management": true, "runtime_start": true, "runtime_workspace_sandbox": true,
            "runtime_external_tools_update": true, "split_channels": !options.shape.single },
    });
    let found = target.starts_with("/app-server-info");
    let (status, body) =
        if found { ("200 OK", info.to_string()) } else { ("404 Not Found", String::new()) };
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes())
}

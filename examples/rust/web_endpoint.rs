//! An HTTP endpoint: GET /?q=... answers with the agent's text while it comes.

use std::env;
use std::error::Error;
use std::time::Duration;

use letta_app_client::{Client, ConnectOptions, Session, SessionOptions, TurnStatus};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::ctrl_c;
#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};

type Outcome = Result<(), Box<dyn Error>>;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
const BAD: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The question in a target such as `/?q=how%20much`.
fn question(target: &str) -> Option<String> {
    let (_, query) = target.split_once('?')?;
    let coded = query.split('&').find_map(|pair| pair.strip_prefix("q="))?;
    let mut bytes = Vec::new();
    let mut rest = coded.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok().filter(|question| !question.is_empty())
}

/// Returns when a reader goes away. It sends nothing more, so its side ends with the connection.
async fn gone(reader: &mut (impl AsyncRead + Unpin)) {
    let mut rest = [0; 512];
    while reader.read(&mut rest).await.is_ok_and(|length| length > 0) {}
}

/// Streams an answer. Dropping this drops the turn, which stops it.
async fn answer(session: &Session, question: String, writer: &mut OwnedWriteHalf) -> Outcome {
    let mut turn = session.send(question)?;
    writer.write_all(OK.as_bytes()).await?;
    while let Some(text) = turn.next_text().await {
        writer.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await?;
    }
    match turn.await?.status {
        Some(TurnStatus::Completed) => Ok(writer.write_all(b"0\r\n\r\n").await?),
        // Without that end the answer counts as cut off.
        status => Err(format!("the turn is {status:?}").into()),
    }
}

async fn respond(client: Client, agent: String, stream: TcpStream) -> Outcome {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut head = String::new();
    // The head ends with an empty line.
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let Some(question) = head.split(' ').nth(1).and_then(question) else {
        writer.write_all(BAD.as_bytes()).await?;
        return Ok(());
    };
    let options = SessionOptions::agent(agent).timeout(Duration::from_secs(120));
    let session = client.session(options).await?;
    tokio::select! {
        answered = answer(&session, question, &mut writer) => answered,
        // Also while the agent says nothing, and nothing is written that could fail.
        () = gone(&mut reader) => Err("the reader has gone".into()),
    }
}

/// Returns when the program is to end.
async fn ended() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = terminated.recv() => Ok(()),
            interrupted = ctrl_c() => interrupted,
        }
    }
    #[cfg(not(unix))]
    ctrl_c().await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("LETTA_URL").unwrap_or_else(|_| "ws://127.0.0.1:4500".to_owned());
    let model = env::var("LETTA_MODEL").unwrap_or_else(|_| "lmstudio/echo-1".to_owned());
    let agent = json!({ "name": "helper", "model": model });
    let port: u16 = env::var("PORT").unwrap_or_else(|_| "8000".to_owned()).parse()?;

    let client = Client::new(ConnectOptions::new(url))?;
    client.connect().await?;
    let first = client.session(SessionOptions::new_agent(&agent).unpinned()).await?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("ready: http://{}/", listener.local_addr()?);
    let serving = async {
        loop {
            let (stream, _) = listener.accept().await?;
            let (client, agent) = (client.clone(), first.agent_id().to_owned());
            tokio::spawn(async move {
                // In words at once: what an error may hold cannot be kept in a task.
                let failed =
                    respond(client, agent, stream).await.map_err(|error| error.to_string());
                if let Err(error) = failed {
                    println!("a request failed: {error}");
                }
            });
        }
    };
    let ended: std::io::Result<()> = tokio::select! {
        failed = serving => failed,
        ended = ended() => ended,
    };
    client.close().await;
    Ok(ended?)
}

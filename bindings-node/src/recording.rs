//! Recordings whose redactor is a function of JavaScript's, and what the engine makes of recordings.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use letta_app_client::testing::replay_events as events;
use letta_app_client::{Error, ErrorKind, RecordWriter};
use napi::Status;
use napi::bindgen_prelude::{FnArgs, Function};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;

use crate::errors::{Thrown, thrown};

/// How a frame is written, or that it is not; an error where the function has failed.
pub(crate) type Answer = Result<Option<String>, Failed>;

/// The redactor has not said how a frame is written.
#[derive(Debug)]
pub(crate) struct Failed;

/// Writes a recording on a thread of its own, which asks JavaScript about each frame and waits for the answer.
/// The function does not keep the process alive.
pub(crate) fn serve(
    mut writer: RecordWriter,
    redactor: &Function<'_, FnArgs<(String, String)>, ()>,
) -> Result<Sender<Answer>, Thrown> {
    let failed = |error: String| thrown(Error::new(ErrorKind::Internal, error));
    let redactor = redactor
        .build_threadsafe_function::<FnArgs<(String, String)>>()
        .weak::<true>()
        .build()
        .map_err(|error| failed(error.reason.clone()))?;
    let (answer, answers) = channel::<Answer>();
    let write = move || {
        while let Some(frame) = writer.next_frame() {
            let asked = (frame.direction.as_str().to_owned(), frame.text.clone());
            let asked = redactor.call(asked.into(), ThreadsafeFunctionCallMode::NonBlocking);
            // An environment that goes away answers nothing, and nobody has looked at the frame.
            let gone = Err(Failed);
            let answer = if asked == Status::Ok { answers.recv().unwrap_or(gone) } else { gone };
            match answer {
                Ok(text) => writer.write_frame(&frame, text),
                Err(Failed) => writer.fail_frame(&frame),
            }
        }
    };
    thread::Builder::new().spawn(write).map_err(|error| failed(error.to_string()))?;
    Ok(answer)
}

/// What the engine makes of a recording, as a JSON list.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
pub fn replay_events(path: String) -> Result<String, Thrown> {
    let events = events(path).map_err(thrown)?;
    let texts: Vec<&str> = events.iter().map(|event| event.get()).collect();
    Ok(format!("[{}]", texts.join(",")))
}

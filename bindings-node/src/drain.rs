//! The way of deliveries out of the mailbox, in parts.

use std::collections::VecDeque;
use std::fmt::Write as _;

use letta_app_client::Mailbox;
use letta_app_client::engine::Delivery;
use letta_app_client::protocol::Text;
use napi::bindgen_prelude::Either;

use crate::connection::number;
use crate::crossed::Crossed;
use crate::delivery::{LONG, Long, place_of, plain};

/// How many deliveries cross at once. Each is copied on its way: so many stay in the processor's cache, where
/// those of a long burst would take memory that the system has to clear first.
const PART: usize = 128;

/// More than there are kinds of deliveries.
const KINDS: usize = 32;

/// What was taken from a mailbox and has not crossed.
#[derive(Default)]
pub(crate) struct Drain {
    left: VecDeque<Delivery>,
    /// Whether the mailbox has more.
    more: bool,
    /// Long outputs of the results that crossed last.
    outputs: Vec<(i64, Long)>,
    /// Those that crossed before.
    pub(crate) crossed: Crossed,
}

impl Drain {
    /// The next part: a JSON list of numbers, and then the text of each delivery.
    ///
    /// The first number is 2 where another part is to be taken at once, 1 where there is more to take once the
    /// code that waited for these has run, otherwise 0. Each delivery has two more: its kind, to which `KINDS`
    /// times one more than the place of its type in `messageTypes` is added where it is a frame of a known type;
    /// and its value: the channel (0 control, 1 stream), the token, the close code or the number of dropped frames.
    pub(crate) fn next(&mut self, mailbox: &Mailbox) -> Vec<Text> {
        if self.left.is_empty() {
            (self.left, self.more) = mailbox.drain_step();
        }
        let mut part: Vec<_> = self.left.drain(..self.left.len().min(PART)).collect();
        if self.left.is_empty() {
            // The room of a long burst is not kept.
            self.left = VecDeque::new();
        }
        self.outputs = outputs_of(&mut part, &mut self.crossed);
        let behind = if self.left.is_empty() { u8::from(self.more) } else { 2 };
        let mut numbers = format!("[{behind}");
        let mut texts = Vec::with_capacity(part.len() + 1);
        // The place of the numbers.
        texts.push(Text::default());
        for delivery in part {
            let place = place_of(&delivery).map_or(0, |place| place + 1);
            let Some((kind, value, text)) = plain(delivery) else { continue };
            // A string takes everything.
            write!(numbers, ",{},{value}", kind + KINDS * place).unwrap_or_default();
            texts.push(text);
        }
        numbers.push(']');
        if let Some(first) = texts.first_mut() {
            *first = numbers.into();
        }
        texts
    }

    /// The long outputs of a result that crossed with the last part.
    pub(crate) fn outputs(&mut self, token: i64) -> Vec<Long> {
        self.outputs.extract_if(.., |(of, _)| *of == token).map(|(_, output)| output).collect()
    }
}

/// Takes the outputs that the results among deliveries go without. A turn that has ended has no more.
fn outputs_of(deliveries: &mut [Delivery], crossed: &mut Crossed) -> Vec<(i64, Long)> {
    let mut outputs = Vec::new();
    for delivery in deliveries {
        match delivery {
            Delivery::Turn { token, result } => {
                let token = number(*token);
                for (place, call) in result.tool_calls.iter_mut().enumerate() {
                    if let Some(text) = call.output.take_if(|output| output.len() > LONG) {
                        let known = crossed.place(token, &text);
                        let text = known.map_or(Either::A(text), Either::B);
                        outputs.push((token, Long { place, text }));
                    }
                }
                crossed.close(token);
            }
            Delivery::Failed { token, .. } => crossed.close(number(*token)),
            _ => {}
        }
    }
    outputs
}

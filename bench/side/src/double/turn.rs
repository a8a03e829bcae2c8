//! Turns, serialised once: for each one only the numbers are written over.

use super::wire::append;
use crate::frames::{CONVERSATION, EVENT, RUN, Shape, closing, deltas, opening};

/// Frames as bytes of the wire, and where the numbers are.
#[derive(Debug, Default)]
struct Template {
    bytes: Vec<u8>,
    /// Where each frame ends.
    ends: Vec<usize>,
    conversations: Vec<usize>,
    runs: Vec<usize>,
    /// For each event its number's places, one behind the other.
    events: Vec<Vec<usize>>,
}

impl Template {
    fn of(frames: &[String]) -> Self {
        let mut template = Self::default();
        for frame in frames {
            append(&mut template.bytes, 1, frame.as_bytes());
            let start = template.bytes.len() - frame.len();
            let places = |number: &str| -> Vec<usize> {
                // An envelope is at the ends of a frame; a large output between them has none.
                frame.match_indices(number).map(|(place, _)| start + place).collect()
            };
            template.conversations.extend(places(CONVERSATION));
            template.runs.extend(places(RUN));
            template.events.extend(Some(places(EVENT)).filter(|places| !places.is_empty()));
            template.ends.push(template.bytes.len());
        }
        template
    }

    fn fill(&mut self, conversation: &str, run: u64, next_event: &mut u64) {
        let run = digits(run);
        for (places, number) in [(&self.conversations, conversation.as_bytes()), (&self.runs, &run)]
        {
            for place in places {
                self.bytes[*place..*place + 10].copy_from_slice(number);
            }
        }
        for places in &self.events {
            *next_event += 1;
            for place in places {
                self.bytes[*place..*place + 10].copy_from_slice(&digits(*next_event));
            }
        }
    }
}

fn digits(number: u64) -> [u8; 10] {
    let mut digits = [b'0'; 10];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
    digits[0] = digits[0].max(b'1');
    digits
}

/// Makes the bytes of turns.
#[derive(Debug)]
pub struct Turns {
    shape: Shape,
    middle: Template,
    end: Template,
    next_event: u64,
    next_run: u64,
}

impl Turns {
    /// For one connection.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        let (middle, end) = (Template::of(&deltas(shape)), Template::of(&closing(shape)));
        Self { shape, middle, end, next_event: 0, next_run: 0 }
    }

    /// Gives the parts of one turn to `write`, each with the ends of its frames.
    ///
    /// # Errors
    ///
    /// What `write` says.
    pub fn play<E>(
        &mut self,
        conversation: &str,
        request_id: Option<&str>,
        client_ids: &[String],
        mut write: impl FnMut(&[u8], &[usize]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.next_run += 1;
        let mut begin = Template::of(&opening(self.shape, request_id, client_ids));
        for template in [&mut begin, &mut self.middle, &mut self.end] {
            template.fill(conversation, self.next_run, &mut self.next_event);
            write(&template.bytes, &template.ends)?;
        }
        Ok(())
    }
}

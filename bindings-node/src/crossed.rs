//! Outputs that crossed already, as events of turns that are open: their results go without them.

use std::collections::HashMap;

use letta_app_client::protocol::Text;

/// The address and the length of a text.
type Span = (usize, usize);

/// The outputs of one turn.
#[derive(Default)]
struct Outputs {
    count: u32,
    /// By where they stand in memory: an event and a result share theirs. Each with its place among all that crossed.
    places: HashMap<Span, (u32, Text)>,
}

/// See the module's text.
#[derive(Default)]
pub(crate) struct Crossed(HashMap<i64, Outputs>);

impl Crossed {
    /// A turn is followed from now on.
    pub(crate) fn open(&mut self, token: i64) {
        self.0.insert(token, Outputs::default());
    }

    /// No result comes any more that could go without them.
    pub(crate) fn close(&mut self, token: i64) {
        self.0.remove(&token);
    }

    /// The output of a call crosses.
    pub(crate) fn note(&mut self, token: i64, output: &Text) {
        if let Some(Outputs { count, places }) = self.0.get_mut(&token) {
            places.insert(span(output), (*count, output.clone()));
            *count += 1;
        }
    }

    /// Its place among those of its turn that crossed, if it did.
    pub(crate) fn place(&self, token: i64, output: &Text) -> Option<u32> {
        let (place, _) = self.0.get(&token)?.places.get(&span(output))?;
        Some(*place)
    }
}

fn span(text: &Text) -> Span {
    (text.as_ptr().addr(), text.len())
}

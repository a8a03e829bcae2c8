//! Whatever is pushed and taken: nothing is lost uncounted, out of order, or above the limits.

use proptest::prelude::*;

use super::*;
use crate::engine::{Channel, TurnEvent};

const MIB: usize = 1024 * 1024;

/// The `n`th event of a turn, of one of ten sorts. The texts in it name the number.
fn item(sort: u8, n: u64) -> Delivery {
    let (run_id, text) = ("run".into(), format!("{n};"));
    let call_id = "call".to_owned();
    let event = match sort {
        0 => TurnEvent::AssistantDelta { run_id, message_id: "a".into(), text },
        1 => TurnEvent::AssistantDelta { run_id, message_id: "b".into(), text },
        2 => TurnEvent::ReasoningDelta { run_id, message_id: "a".into(), text },
        3 => TurnEvent::ToolCallArguments { call_id, arguments: text },
        4 => TurnEvent::ToolOutput { call_id, output: text.into() },
        5 => TurnEvent::ToolCallStart { run_id, call_id, name: text },
        6 => TurnEvent::Status { status: text },
        7 => TurnEvent::ToolCallEnd { call_id, status: "success".into(), output: text.into() },
        8 => return frame("stream_delta", text),
        _ => return frame("turn_finished", text),
    };
    Delivery::turn_event(1, event)
}

fn frame(kind: &'static str, text: String) -> Delivery {
    Delivery::Message { channel: Channel::Control, kind: Some(kind), text: text.into() }
}

/// The texts of an item.
fn text(delivery: &Delivery) -> &str {
    match delivery {
        Delivery::Message { text, .. } => text,
        Delivery::TurnEvent { event, .. } => event_text(event),
        _ => "",
    }
}

fn event_text(event: &TurnEvent) -> &str {
    match event {
        TurnEvent::AssistantDelta { text, .. }
        | TurnEvent::ReasoningDelta { text, .. }
        | TurnEvent::ToolCallArguments { arguments: text, .. }
        | TurnEvent::ToolCallStart { name: text, .. }
        | TurnEvent::Status { status: text } => text,
        TurnEvent::ToolOutput { output, .. } | TurnEvent::ToolCallEnd { output, .. } => output,
        _ => "",
    }
}

/// What a reader has seen.
#[derive(Default)]
struct Reader {
    delivered: u64,
    merged: u64,
    dropped: u64,
    /// The numbers of all texts, in order.
    numbers: Vec<u64>,
}

impl Reader {
    fn take(&mut self, queue: &mut Queue, most: usize) {
        for delivery in queue.take(most) {
            if let Delivery::Lagged { dropped, merged } = delivery {
                self.dropped += dropped;
                self.merged += merged;
                continue;
            }
            self.delivered += 1;
            let numbers = text(&delivery).split_terminator(';');
            self.numbers.extend(numbers.map(|number| number.parse::<u64>().expect("a number")));
        }
    }

    fn accounted(&self) -> u64 {
        self.delivered + self.merged + self.dropped
    }

    fn is_in_order(&self) -> bool {
        self.numbers.is_sorted_by(|one, next| one < next)
    }
}

/// Pushes a million items; the reader takes a few now and then, and looks at the bounds each time.
fn flood(sort: impl Fn(u64) -> u8) -> (Reader, Reader) {
    let limits = Backpressure::default();
    let (mut slow_queue, mut fast_queue) = (Queue::new(limits), Queue::new(limits));
    let (mut slow, mut fast) = (Reader::default(), Reader::default());
    for n in 0..1_000_000 {
        slow_queue.push(item(sort(n), n));
        fast_queue.push(item(sort(n), n));
        assert!(slow_queue.bytes() <= 64 * MIB && slow_queue.len() <= limits.max_items);
        if n % 10 == 0 {
            fast.take(&mut fast_queue, usize::MAX);
        }
        if n % 1000 == 0 {
            slow.take(&mut slow_queue, 10);
        }
    }
    slow.take(&mut slow_queue, usize::MAX);
    fast.take(&mut fast_queue, usize::MAX);
    assert_eq!((fast.delivered, fast.merged, fast.dropped), (1_000_000, 0, 0));
    assert_eq!(slow.accounted(), 1_000_000);
    assert!(slow.is_in_order() && fast.is_in_order());
    (slow, fast)
}

#[test]
fn a_million_pieces_for_a_reader_who_lags_are_merged_and_complete() {
    // One text, with a tool call in it now and then.
    let (slow, fast) = flood(|n| match n % 5000 {
        4998 => 5,
        4999 => 7,
        _ => 0,
    });
    assert_eq!(slow.dropped, 0);
    assert!(slow.merged > 900_000, "{}", slow.merged);
    assert_eq!(slow.numbers, fast.numbers);
}

#[test]
fn a_million_pieces_that_cannot_be_merged_go_and_the_tool_calls_stay() {
    let sort = |n| match n % 500 {
        498 => 5,
        499 => 7,
        n => u8::from(n % 2 == 0),
    };
    let (slow, _) = flood(sort);
    assert!(slow.dropped > 900_000, "{}", slow.dropped);
    assert_eq!(slow.merged, 0);
    let calls = slow.numbers.iter().filter(|number| *number % 500 >= 498).count();
    assert_eq!(calls, 4000);
}

#[test]
fn merged_text_counts_piece_by_piece_when_it_has_to_go() {
    let (max_items, max_bytes) = (2, MIB);
    let mut queue = Queue::new(Backpressure { max_items, max_bytes, policy: Overflow::Merge });
    for (n, sort) in [0, 0, 0, 1, 1, 2].into_iter().enumerate() {
        queue.push(item(sort, n as u64));
    }
    let mut reader = Reader::default();
    reader.take(&mut queue, usize::MAX);
    assert_eq!((reader.delivered, reader.merged, reader.dropped), (2, 1, 3));
    assert_eq!(reader.numbers, [3, 4, 5]);
}

#[test]
fn of_frames_the_end_the_permission_and_the_tool_call_stay() {
    let limits = Backpressure { max_items: 2, max_bytes: MIB, policy: Overflow::DropOldest };
    let mut queue = Queue::new(limits);
    let kinds = ["control_request", "stream_delta", "external_tool_call_request"];
    for kind in kinds.into_iter().chain(["update_loop_status", "turn_finished", "stream_delta"]) {
        queue.push(frame(kind, kind.to_owned()));
    }
    let left: Vec<String> = queue
        .take(usize::MAX)
        .iter()
        .map(|delivery| match delivery {
            Delivery::Lagged { dropped, merged: 0 } => format!("lagged {dropped}"),
            delivery => text(delivery).to_owned(),
        })
        .collect();
    let wanted = ["control_request", "external_tool_call_request", "turn_finished", "lagged 3"];
    assert_eq!(left, wanted);
    assert!(queue.is_empty() && queue.bytes() == 0);
}

#[test]
fn one_item_above_the_limit_is_kept_until_the_next() {
    for policy in [Overflow::Merge, Overflow::DropOldest] {
        let mut queue = Queue::new(Backpressure { max_items: 5, max_bytes: 1000, policy });
        queue.push(frame("stream_delta", "1".repeat(5000)));
        assert_eq!(queue.len(), 1);
        queue.push(item(8, 2));
        let mut reader = Reader::default();
        reader.take(&mut queue, 5);
        assert_eq!((reader.numbers, reader.dropped), (vec![2], 1));
    }
}

#[test]
fn a_reader_who_wants_to_be_told_gets_what_came_and_then_the_error() {
    let limits = Backpressure { max_items: 3, max_bytes: MIB, policy: Overflow::Raise };
    let mut queue = Queue::new(limits);
    (0..3).for_each(|n| queue.push(item(8, n)));
    assert_eq!(queue.take(usize::MAX).len(), 3, "the limit itself is no overflow");
    (3..10).for_each(|n| queue.push(item(8, n)));
    let first = queue.take(2);
    assert!(first.len() == 2 && first.iter().all(|one| matches!(one, Delivery::Message { .. })));
    // There is room again, but what comes now would follow a gap.
    queue.push(item(9, 10));
    let rest: Vec<_> = queue.take(2).into_iter().collect();
    assert_eq!(text(&rest[0]), "5;");
    let Delivery::Failed { token: 0, error } = &rest[1] else { panic!("{rest:?}") };
    assert_eq!((error.kind(), error.dropped_count()), (ErrorKind::Lagged, Some(5)));
    queue.push(item(9, 11));
    assert!(queue.is_empty() && queue.take(2).is_empty(), "it is over");
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Push(u8),
    Take(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sorts = prop_oneof![4 => Just(0u8), 2 => Just(3), 2 => Just(4), 3 => 0u8..10];
    let step = prop_oneof![9 => sorts.prop_map(Step::Push), 1 => (0usize..12).prop_map(Step::Take)];
    proptest::collection::vec(step, 1..200)
}

/// Of the sorts that never go.
fn stays(sort: u8) -> bool {
    matches!(sort, 3 | 5 | 7 | 9)
}

proptest! {
    #[test]
    fn nothing_is_lost_uncounted_or_out_of_order(
        steps in steps(),
        max_items in 1usize..20,
        max_bytes in 200usize..6000,
        merges in any::<bool>(),
    ) {
        let policy = if merges { Overflow::Merge } else { Overflow::DropOldest };
        let mut queue = Queue::new(Backpressure { max_items, max_bytes, policy });
        let (mut reader, mut sent) = (Reader::default(), Vec::new());
        for step in steps {
            match step {
                Step::Push(sort) => {
                    queue.push(item(sort, sent.len() as u64));
                    sent.push(sort);
                }
                Step::Take(most) => reader.take(&mut queue, most),
            }
            let waiting = queue.kept.iter().chain(&queue.items);
            prop_assert_eq!(queue.bytes(), waiting.clone().map(Delivery::weight).sum::<usize>());
            let within = queue.len() <= max_items && queue.bytes() <= max_bytes;
            let may_go = waiting.filter(|delivery| delivery.droppable()).count();
            prop_assert!(within || may_go == 0 || queue.len() == 1);
        }
        reader.take(&mut queue, usize::MAX);
        prop_assert!(queue.is_empty() && queue.bytes() == 0 && queue.merged == 0);
        prop_assert_eq!(reader.accounted(), sent.len() as u64);
        prop_assert!(reader.is_in_order());
        prop_assert!(merges || reader.merged == 0);
        let numbered = |wanted: &dyn Fn(u8) -> bool| -> Vec<u64> {
            let all = (0..).zip(&sent).filter(|(_, sort)| wanted(**sort));
            all.map(|(number, _)| number).collect()
        };
        let read = |wanted: &[u64]| -> Vec<u64> {
            reader.numbers.iter().copied().filter(|n| wanted.binary_search(n).is_ok()).collect()
        };
        let kept = numbered(&stays);
        prop_assert_eq!(read(&kept), kept);
        if reader.dropped == 0 {
            // Of a tool's output each event replaces the one before.
            let complete = numbered(&|sort| sort != 4);
            prop_assert_eq!(read(&complete), complete);
        }
    }
}

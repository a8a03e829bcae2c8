//! What a server tells of its device comes again and again as it was: the longest frames of most turns, in which nothing
//! changes but the number and the time around it.
//!
//! An object that was valid in its place is valid when it comes there again, and says the same.

use std::ops::Range;

use super::envelope::Malformed;
use super::outline::place;
use super::scan::Scanner;

/// So many are kept: a turn has some while it works, and some while it does not.
const MAX_KEPT: usize = 4;
/// So much memory may they take together; one that is longer is not kept.
const MAX_BYTES: usize = 48 * 1024;

/// The device statuses that a connection has had lately, the latest first.
#[derive(Debug, Default)]
pub(super) struct Statuses(Vec<Status>);

#[derive(Debug)]
struct Status {
    json: Box<str>,
    /// Where its open questions stand.
    asked: Option<Range<u32>>,
}

impl Statuses {
    /// Passes over a status; the JSON of its open questions, where they can be found.
    pub(super) fn read<'a>(
        &mut self,
        scanner: &mut Scanner<'a>,
    ) -> Result<Option<&'a str>, Malformed> {
        for at in 0..self.0.len() {
            if let Some(json) = scanner.same(&self.0[at].json) {
                self.0[..=at].rotate_right(1);
                let asked = self.0[0].asked.clone();
                return Ok(
                    asked.and_then(|place| json.get(place.start as usize..place.end as usize))
                );
            }
        }
        let (asked, json) = scanner.tried(asked)?;
        let asked = asked.flatten();
        self.keep(Status { json: json.into(), asked: asked.and_then(|asked| place(json, asked)) });
        Ok(asked)
    }

    /// Only an object says by itself where it ends.
    fn keep(&mut self, status: Status) {
        if !status.json.starts_with('{') || status.json.len() > MAX_BYTES {
            return;
        }
        self.0.truncate(MAX_KEPT - 1);
        self.0.insert(0, status);
        let mut bytes = 0;
        self.0.retain(|status| {
            bytes += status.json.len();
            bytes <= MAX_BYTES
        });
    }
}

/// The open questions of a status.
pub(super) fn asked<'a>(scanner: &mut Scanner<'a>) -> Result<Option<&'a str>, Malformed> {
    let mut asked = None;
    scanner.object(|scanner, key| {
        match key {
            "pending_control_requests" => asked = Some(scanner.raw()?),
            _ => scanner.skip()?,
        }
        Ok(())
    })?;
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads each, and says how many texts are kept then.
    fn kept<'a>(statuses: &mut Statuses, frames: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
        let read = |json| {
            let mut expected = Scanner::new(json);
            let mut scanner = Scanner::new(json);
            let wanted = expected.tried(asked).map(|(asked, _)| asked.flatten());
            assert_eq!(statuses.read(&mut scanner), wanted, "{json}");
            assert_eq!(scanner.at(), expected.at(), "{json}");
            statuses.0.len()
        };
        frames.into_iter().map(read).collect()
    }

    fn status(words: &str, asked: &str) -> String {
        format!(r#"{{"words":"{words}","pending_control_requests":{asked},"a":1}}"#)
    }

    #[test]
    fn one_that_comes_again_is_known() {
        let mut statuses = Statuses::default();
        let (busy, idle) = (status("busy", r#"[{"request_id":"r"}]"#), status("idle", "[]"));
        assert_eq!(kept(&mut statuses, [&*busy, &idle, &busy, &busy, &idle]), [1, 2, 2, 2, 2]);
    }

    #[test]
    fn a_beginning_of_it_is_not_it() {
        let mut statuses = Statuses::default();
        let whole = status("a", "[]");
        let broken = &whole[..whole.len() - 1];
        assert_eq!(kept(&mut statuses, [&*whole, broken, "{}", &whole]), [1, 1, 2, 2]);
        // What follows belongs to the frame.
        assert_eq!(kept(&mut statuses, [&*format!("{whole},\"event_seq\":7")]), [2]);
    }

    #[test]
    fn what_is_no_object_is_not_kept() {
        let others = ["1", "12", "[]", "null", "\"a\""];
        assert_eq!(kept(&mut Statuses::default(), others), [0; 5]);
    }

    #[test]
    fn few_are_kept_and_none_that_are_too_long() {
        let mut statuses = Statuses::default();
        let different: Vec<String> = (0..9).map(|n| status(&n.to_string(), "[]")).collect();
        kept(&mut statuses, different.iter().map(String::as_str));
        assert_eq!(statuses.0.len(), MAX_KEPT);
        let half = status(&"x".repeat(MAX_BYTES / 2 - 60), "[]");
        let other = half.replace('x', "y");
        let third = half.replace('x', "z");
        assert_eq!(kept(&mut statuses, [&*half, &other, &third]), [4, 2, 2]);
        assert_eq!(kept(&mut statuses, [&*status(&"x".repeat(MAX_BYTES), "[]")]), [2]);
    }
}

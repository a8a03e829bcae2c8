//! Whether a field that nobody knows was meant for one that is known.
//!
//! A field of a later server is let through; one that is a slip away from another would go over the
//! wire, where the server ignores it, and nobody would ever know. A slip is little: `agent` beside
//! `agent_id`, or `errors` beside `error`, may well be fields of a later server. It is more where nobody
//! must go without the field that is meant: a server that is given no mode runs every tool.

use std::fmt;

use super::node::{Json, Node};
use super::spec::{CommandSpec, FieldSpec, Shape};
use super::validate::{Path, tag_of, tag_words};

/// Letters from which on one of them may be missing, too many or another: short words are near to
/// other words.
const LONG: usize = 6;

/// Letters from which on one of them may be another, but for the first: `forse` is nobody's field, while `code` beside
/// `node` may well be one.
const SHORT: usize = 5;

/// Fields of which each slip of one letter is told, short as they are: without them the agent may do more than was
/// meant, or do it elsewhere.
const CAREFUL: [&str; 2] = ["mode", "cwd"];

/// Names that are near to those, and are fields of other objects in the protocol.
const OTHERS: [&str; 2] = ["code", "model"];

/// What every command may have besides its own fields.
const EVERYWHERE: [&str; 2] = ["type", "request_id"];

/// A field that is none, and what it was meant for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slip {
    path: String,
    meant: Meant,
}

#[derive(Debug, PartialEq, Eq)]
enum Meant {
    /// One of the fields, or an option of the method.
    Name(&'static str),
    /// It is the name of an option of the method.
    Option,
}

impl fmt::Display for Slip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "field `{}`: is no field of this command; ", self.path)?;
        match self.meant {
            Meant::Name(name) => write!(f, "did you mean `{name}`?"),
            Meant::Option => f.write_str("it is an option of the method"),
        }
    }
}

/// Looks for slips in the names of a command's fields, and in those of the objects in it as far as the
/// catalog knows them. `options` are those of the method that was called.
pub(crate) fn look_for_slips(
    spec: &CommandSpec,
    command: &Node<'_>,
    options: &[&'static str],
) -> Result<(), Slip> {
    let Json::Object(entries) = &command.json else { return Ok(()) };
    entries.iter().try_for_each(|(name, value)| {
        if let Some(field) = spec.fields.iter().find(|field| field.name == name) {
            return look_inside(&field.shape, value, &Path::Root.key(name));
        }
        if EVERYWHERE.contains(&&**name) {
            return Ok(());
        }
        let path = || Path::Root.key(name).to_string();
        if options.contains(&&**name) {
            return Err(Slip { path: path(), meant: Meant::Option });
        }
        let fields = spec.fields.iter().map(|field| field.name);
        let known = fields.chain(EVERYWHERE).chain(options.iter().copied());
        meant(name, known)
            .map_or(Ok(()), |near| Err(Slip { path: path(), meant: Meant::Name(near) }))
    })
}

fn look_inside(shape: &'static Shape, value: &Node<'_>, at: &Path<'_>) -> Result<(), Slip> {
    match (shape, &value.json) {
        (Shape::Named(named), _) => look_inside(&named.shape, value, at),
        (Shape::Object(fields), Json::Object(_)) => look_at_object(&[fields], value, at),
        (Shape::AnyOf(shapes), Json::Object(_)) => look_at_object(&members(shapes), value, at),
        (Shape::Array(item), Json::Array(items)) => {
            let mut items = items.iter().enumerate();
            items.try_for_each(|(index, value)| look_inside(item, value, &at.index(index)))
        }
        _ => Ok(()),
    }
}

/// Looks at an object that may have the fields of all these lists; nothing is known of one without a list.
fn look_at_object(
    lists: &[&'static [FieldSpec]],
    object: &Node<'_>,
    at: &Path<'_>,
) -> Result<(), Slip> {
    let Json::Object(entries) = &object.json else { return Ok(()) };
    let all = || lists.iter().flat_map(|fields| fields.iter());
    entries.iter().try_for_each(|(name, value)| {
        let at = at.key(name);
        let mut known = all().filter(|field| field.name == name).peekable();
        if known.peek().is_some() {
            return known.try_for_each(|field| look_inside(&field.shape, value, &at));
        }
        let near = meant(name, all().map(|field| field.name));
        near.map_or(Ok(()), |near| Err(Slip { path: at.to_string(), meant: Meant::Name(near) }))
    })
}

/// The fields of the objects in a union. None where one of them stands for those that are not known
/// here, which may have any field.
fn members(shapes: &'static [Shape]) -> Vec<&'static [FieldSpec]> {
    let object = Json::Object(Vec::new());
    let objects: Vec<&Shape> = shapes.iter().filter(|shape| shape.fits_kind(&object)).collect();
    let is_closed = || {
        let tag = tag_of(&objects);
        tag.is_some_and(|tag| objects.iter().all(|shape| !tag_words(shape, tag).is_empty()))
    };
    if objects.len() == 1 || is_closed() {
        return objects.iter().filter_map(|shape| shape.fields()).collect();
    }
    Vec::new()
}

/// The known name that an unknown one is a slip of.
///
/// It is where it is only written in another notation (`agentId`), where two neighbours have changed
/// places, or, in names of six letters or more and beside `mode` and `cwd`, where one letter is missing, too many or
/// another one; in names of five, where one behind the first is another.
pub(crate) fn meant(
    name: &str,
    known: impl Iterator<Item = &'static str> + Clone,
) -> Option<&'static str> {
    let plain = letters(name);
    let same = known.clone().find(|each| letters(each) == plain);
    same.or_else(|| {
        let is_careful = |each: &str| CAREFUL.contains(&each) && !OTHERS.contains(&name);
        known.into_iter().find(|each| is_slip(&plain, &letters(each), is_careful(each)))
    })
}

fn letters(name: &str) -> Vec<char> {
    let letters = name.chars().filter(|letter| !matches!(letter, '_' | '-'));
    letters.flat_map(char::to_lowercase).collect()
}

/// Whether they differ in one place alone: what is left between equal beginnings and ends. `careful` lets that be
/// any place of short ones too.
fn is_slip(one: &[char], other: &[char], careful: bool) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let begin = alike(short.iter(), long.iter());
    let (left, right) = (&short[begin..], &long[begin..]);
    let end = alike(left.iter().rev(), right.iter().rev());
    let (left, right) = (&left[..left.len() - end], &right[..right.len() - end]);
    match (left, right) {
        ([first, second], [third, fourth]) => (first, second) == (fourth, third),
        ([_], [_]) if begin > 0 => careful || short.len() >= SHORT,
        _ => (careful || short.len() >= LONG) && right.len() <= 1,
    }
}

/// How many letters they begin with are the same.
fn alike<'a>(one: impl Iterator<Item = &'a char>, other: impl Iterator<Item = &'a char>) -> usize {
    one.zip(other).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests;

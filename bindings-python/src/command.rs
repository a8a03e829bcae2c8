//! A command's way from Python's values to the text of a frame.

use std::io::Write as _;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::record::Record;

/// What is nested deeper is left to Python, which also finds out what contains itself.
const DEEPEST: usize = 20;

/// The text of a command, which need not be one. Nearly all are made of plain values and of the package's own
/// objects; any other is written, or refused, by `encode` in `_json.py`.
pub(crate) fn text_of(command: &Bound<'_, PyAny>) -> PyResult<String> {
    let mut text = Vec::with_capacity(256);
    if is_object(command) && write(command, &mut text, 0).is_some() {
        // All of it was text.
        return Ok(String::from_utf8(text).unwrap_or_default());
    }
    let module = command.py().import(intern!(command.py(), "letta_app_client._json"))?;
    module.getattr(intern!(command.py(), "encode"))?.call1((command,))?.extract()
}

fn is_object(value: &Bound<'_, PyAny>) -> bool {
    value.cast_exact::<PyDict>().is_ok() || value.cast::<Record>().is_ok()
}

fn write(value: &Bound<'_, PyAny>, into: &mut Vec<u8>, depth: usize) -> Option<()> {
    if let Ok(text) = value.cast_exact::<PyString>() {
        return write_text(text, into);
    }
    if depth > DEEPEST {
        return None;
    }
    if let Ok(object) = value.cast_exact::<PyDict>() {
        write_object(object, into, depth)
    } else if let Ok(list) = value.cast_exact::<PyList>() {
        write_list(list.iter(), into, depth)
    } else if let Ok(list) = value.cast_exact::<PyTuple>() {
        write_list(list.iter(), into, depth)
    } else if value.is_none() {
        into.extend_from_slice(b"null");
        Some(())
    } else if let Ok(truth) = value.cast_exact::<PyBool>() {
        into.extend_from_slice(if truth.is_true() { b"true" } else { b"false" });
        Some(())
    } else if value.cast_exact::<PyInt>().is_ok() {
        write!(into, "{}", value.extract::<i64>().ok()?).ok()
    } else if value.cast_exact::<PyFloat>().is_ok() {
        let number: f64 = value.extract().ok()?;
        number.is_finite().then(|| serde_json::to_writer(into, &number).ok())?
    } else {
        let record = value.cast::<Record>().ok()?;
        write(&record.get().raw(value.py()).ok()?, into, depth)
    }
}

fn write_text(text: &Bound<'_, PyString>, into: &mut Vec<u8>) -> Option<()> {
    serde_json::to_writer(into, text.to_str().ok()?).ok()
}

fn write_object(object: &Bound<'_, PyDict>, into: &mut Vec<u8>, depth: usize) -> Option<()> {
    into.push(b'{');
    for (index, (key, value)) in object.iter().enumerate() {
        if index > 0 {
            into.push(b',');
        }
        write_text(key.cast_exact::<PyString>().ok()?, into)?;
        into.push(b':');
        write(&value, into, depth + 1)?;
    }
    into.push(b'}');
    Some(())
}

fn write_list<'py>(
    list: impl Iterator<Item = Bound<'py, PyAny>>,
    into: &mut Vec<u8>,
    depth: usize,
) -> Option<()> {
    into.push(b'[');
    for (index, item) in list.enumerate() {
        if index > 0 {
            into.push(b',');
        }
        write(&item, into, depth + 1)?;
    }
    into.push(b']');
    Some(())
}

//! From places in a JSON text to Python's values, and from plain values to those with `Fields` in them.

use letta_app_client::protocol::outline::{self, Outline};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyList, PyString, PyType};

use crate::record::Record;
use crate::whole::Whole;

/// A part of so long a text shares it; of a longer one only what is most of it does, so that nothing small keeps
/// something large.
const SHARED: usize = 4096;

/// Where an object stands.
pub(crate) struct Source {
    pub(crate) text: Whole,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Source {
    /// Its text; nothing where it is none that UTF-8 can write.
    pub(crate) fn read<'a>(&'a self, py: Python<'a>) -> Option<&'a str> {
        self.text.read(py).and_then(|text| text.get(self.start..self.end))
    }

    /// Its text, as Python has it.
    pub(crate) fn whole<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        match self.text.read(py) {
            Some(whole) if (self.start, self.end) != (0, whole.len()) => {
                PyString::new(py, whole.get(self.start..self.end).unwrap_or_default())
            }
            _ => self.text.string(py),
        }
    }
}

/// Makes an object of the class that its tag says.
#[pyclass(frozen, module = "letta_app_client._native")]
pub(crate) struct ByTag {
    key: String,
    kinds: Py<PyDict>,
}

#[pymethods]
impl ByTag {
    #[new]
    fn new(key: String, kinds: Py<PyDict>) -> Self {
        Self { key, kinds }
    }
}

/// The value that stands in a text.
pub(crate) fn read<'py>(
    source: &Source,
    value: &str,
    py: Python<'py>,
    maker: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    match value.as_bytes() {
        [b'{', ..] => made(source, value, &maker()?),
        [b'[', ..] => list(source, value, &maker()?),
        _ => scalar(value, py),
    }
}

fn scalar<'py>(value: &str, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value.as_bytes() {
        [b'"', ..] => match outline::string(value) {
            Some(text) => PyString::new(py, &text).into_any(),
            None => return parse(PyString::new(py, value)),
        },
        b"null" => py.None().into_bound(py),
        b"true" => PyBool::new(py, true).to_owned().into_any(),
        b"false" => PyBool::new(py, false).to_owned().into_any(),
        _ => match value.parse::<i64>() {
            Ok(number) => number.into_pyobject(py)?.into_any(),
            Err(_) => return parse(PyString::new(py, value)),
        },
    })
}

fn list<'py>(
    source: &Source,
    value: &str,
    maker: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = maker.py();
    let list = PyList::empty(py);
    for item in outline::items(value).unwrap_or_default() {
        list.append(read(source, item, py, || Ok(maker.clone()))?)?;
    }
    Ok(list.into_any())
}

/// The object that stands in a text.
fn made<'py>(
    source: &Source,
    value: &str,
    maker: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = maker.py();
    let (class, outline) = match maker.cast_exact::<ByTag>() {
        Ok(by_tag) => {
            let outline = Outline::of(value);
            let key = &by_tag.get().key;
            let tag = match &outline {
                Some(outline) => {
                    outline.value(value, key).map(|tag| scalar(tag, py)).transpose()?
                }
                // Only Python reads it.
                None => parse(PyString::new(py, value))?.cast::<PyDict>()?.get_item(key)?,
            };
            (class_of(by_tag, tag)?, Some(outline))
        }
        Err(_) => (maker.clone(), None),
    };
    let text = source.text.read(py).unwrap_or_default();
    let made = if text.len() <= SHARED.max(value.len() * 2) {
        let start = value.as_ptr().addr() - text.as_ptr().addr();
        class.call1((source.text.shared(py), start, start + value.len()))?
    } else {
        class.call1((PyString::new(py, value), 0, value.len()))?
    };
    if let Some(outline) = outline {
        let _ = made.cast::<Record>()?.get().outline.set(outline);
    }
    Ok(made)
}

fn class_of<'py>(
    by_tag: &Bound<'py, ByTag>,
    tag: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = by_tag.py();
    if let Some(tag) = tag
        && tag.is_instance_of::<PyString>()
        && let Some(kind) = by_tag.get().kinds.bind(py).get_item(tag)?
    {
        return Ok(kind);
    }
    Ok(plain_fields(py)?.into_any())
}

/// A plain value with its objects as `Fields`.
pub(crate) fn wrapped<'py>(
    value: &Bound<'py, PyAny>,
    maker: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    if let Ok(object) = value.cast::<PyDict>() {
        return match maker.cast_exact::<ByTag>() {
            Ok(by_tag) => class_of(by_tag, object.get_item(&by_tag.get().key)?)?.call1((object,)),
            Err(_) => maker.call1((object,)),
        };
    }
    if let Ok(items) = value.cast::<PyList>() {
        let list = PyList::empty(py);
        for item in items {
            list.append(wrapped(&item, maker)?)?;
        }
        return Ok(list.into_any());
    }
    Ok(value.clone())
}

/// A value as Python's parser reads it.
pub(crate) fn parse(text: Bound<'_, PyString>) -> PyResult<Bound<'_, PyAny>> {
    static PARSE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = text.py();
    PARSE.import(py, "letta_app_client._parse", "parse")?.call1((text,))
}

/// The class of objects of which nothing is known.
pub(crate) fn plain_fields(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    static FIELDS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    FIELDS.import(py, "letta_app_client.messages", "Fields").cloned()
}

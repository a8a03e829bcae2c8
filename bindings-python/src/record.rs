//! A JSON object as Python's `Fields` look at it: single fields are read from its text, and all of it is parsed by
//! Python only where somebody wants all, or something that is read otherwise than here.

use std::sync::OnceLock;

use letta_app_client::protocol::outline::Outline;
use pyo3::exceptions::{PyAttributeError, PyKeyError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyFrozenSet, PyString, PyType};

use crate::values::{Source, parse, plain_fields, read, wrapped};
use crate::whole::Whole;

/// What `Fields` and `Message` stand on. See `_native.pyi`.
#[pyclass(frozen, subclass, module = "letta_app_client._native")]
pub(crate) struct Record {
    /// Where it stands in a text; none where it was made of a `dict`.
    source: Option<Source>,
    /// Made when a field is first looked at; there is none where only Python reads the text.
    pub(crate) outline: OnceLock<Option<Outline>>,
    data: OnceLock<Py<PyAny>>,
}

#[pymethods]
impl Record {
    #[new]
    #[classmethod]
    #[pyo3(signature = (given, start = None, end = 0))]
    fn new(
        class: &Bound<'_, PyType>,
        given: &Bound<'_, PyAny>,
        start: Option<usize>,
        end: usize,
    ) -> PyResult<Self> {
        let py = class.py();
        let (outline, data) = (OnceLock::new(), OnceLock::new());
        if let Some(text) = Whole::of(given) {
            // Only its own text makes `Fields`; frames are made of any.
            let of_text = start.is_some() || class.getattr(intern!(py, "_of_text"))?.is_truthy()?;
            if of_text {
                let end = if start.is_some() { end } else { text.read(py).map_or(0, str::len) };
                let source = Some(Source { text, start: start.unwrap_or(0), end });
                return Ok(Self { source, outline, data });
            }
        } else if class.getattr(intern!(py, "_of_text"))?.is_truthy()? {
            let kind = given.get_type().name()?;
            return Err(PyTypeError::new_err(format!("expected the text of a frame, got {kind}")));
        }
        let plain = match given.cast::<PyDict>() {
            Ok(plain) => plain.clone(),
            Err(_) => py.get_type::<PyDict>().call1((given,))?.cast_into::<PyDict>()?,
        };
        let _ = data.set(plain.into_any().unbind());
        Ok(Self { source: None, outline, data })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.data.get().map_or(Ok(()), |data| visit.call(data))
    }

    /// The text it stands in; see `_native.pyi`.
    #[getter]
    fn _text<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        self.source.as_ref().map(|source| source.whole(py))
    }

    /// How many bytes it has as text; see `_native.pyi`.
    #[getter]
    fn _bytes(&self) -> usize {
        self.source.as_ref().map_or(0, |source| source.end - source.start)
    }

    /// The plain `dict`, exactly as it was parsed. Do not change it; see `to_dict`.
    #[getter]
    pub(crate) fn raw<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if self.data.get().is_none()
            && let Some(source) = &self.source
        {
            // Python may let other threads go on meanwhile; the first one's is the one.
            let _ = self.data.set(parse(source.whole(py))?.unbind());
        }
        Ok(self.data.get().map_or_else(|| py.None().into_bound(py), |data| data.bind(py).clone()))
    }

    fn __getitem__<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(name) = key.cast_exact::<PyString>() {
            let found = field(slf, name)?;
            return found.ok_or_else(|| PyKeyError::new_err(name.clone().unbind()));
        }
        let value = slf.get().raw(slf.py())?.get_item(key)?;
        wrapped(&value, &plain_fields(slf.py())?.into_any())
    }

    fn __getattribute__<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let text = name.to_str().unwrap_or("_");
        if text.starts_with('_') || is_of_class(slf, name)? {
            return of_object(slf, name);
        }
        if let Some(value) = field(slf, name)? {
            return Ok(value);
        }
        let class = slf.get_type();
        if class.getattr(intern!(py, "_optional"))?.contains(name)? {
            return Ok(py.None().into_bound(py));
        }
        // Told by `__getattr__`, which is asked next.
        Err(PyAttributeError::new_err(()))
    }

    /// Why there is no such attribute.
    fn __getattr__(slf: &Bound<'_, Self>, name: &Bound<'_, PyString>) -> PyResult<Py<PyAny>> {
        let kind = slf.get_type().name()?;
        let quoted = name.repr()?;
        // The machinery of copy and pickle looks for such names.
        if name.to_string_lossy().starts_with('_') {
            return Err(PyAttributeError::new_err(format!("{kind} has no attribute {quoted}")));
        }
        let separator = PyString::new(slf.py(), ", ");
        let known = separator.call_method1("join", (slf.get().raw(slf.py())?,))?;
        let message = format!("{kind} has no field {quoted} (there are: {known})");
        Err(PyAttributeError::new_err(message))
    }
}

/// The text in the field `type`; see `_native.pyi`.
#[pyfunction]
pub(crate) fn frame_type<'py>(frame: &Bound<'py, Record>) -> PyResult<Bound<'py, PyAny>> {
    match field(frame, intern!(frame.py(), "type"))? {
        Some(kind) if kind.is_instance_of::<PyString>() => Ok(kind),
        _ => Ok(PyString::new(frame.py(), "").into_any()),
    }
}

/// What every object has: methods, properties, and what Python itself looks for.
fn of_object<'py>(
    slf: &Bound<'py, Record>,
    name: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyAny>> {
    static READ: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = slf.py();
    let read = READ.get_or_try_init(py, || {
        let object = py.get_type::<PyAny>();
        object.getattr("__getattribute__").map(Bound::unbind)
    })?;
    read.bind(py).call1((slf, name))
}

/// Whether the class has an attribute of that name.
fn is_of_class(slf: &Bound<'_, Record>, name: &Bound<'_, PyString>) -> PyResult<bool> {
    let own = slf.get_type().getattr(intern!(slf.py(), "_own"))?;
    own.cast::<PyFrozenSet>()?.contains(name)
}

fn field<'py>(
    slf: &Bound<'py, Record>,
    name: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let (py, record) = (slf.py(), slf.get());
    let maker = || -> PyResult<Bound<'py, PyAny>> {
        let nested = slf.get_type().getattr(intern!(py, "_nested"))?;
        match nested.cast::<PyDict>()?.get_item(name)? {
            Some(maker) => Ok(maker),
            None => Ok(plain_fields(py)?.into_any()),
        }
    };
    if record.data.get().is_none()
        && let Some(source) = &record.source
        && let Some(text) = source.read(py)
        && let Some(outline) = record.outline.get_or_init(|| Outline::of(text))
        && let Ok(name) = name.to_str()
    {
        let Some(value) = outline.value(text, name) else { return Ok(None) };
        return read(source, value, py, maker).map(Some);
    }
    let data = record.raw(py)?;
    let Some(value) = data.cast::<PyDict>()?.get_item(name)? else { return Ok(None) };
    if value.is_instance_of::<PyString>() {
        return Ok(Some(value));
    }
    wrapped(&value, &maker()?).map(Some)
}

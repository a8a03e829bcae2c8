"""Results that also read as the JSON they stand for, as frames and events do."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

__all__ = ["Plain"]


class Plain:
    """A dataclass whose fields are keys as well: ``result["text"]``, ``result.get("text")``."""

    __slots__ = ()
    # With keys alone Python would count upwards for who iterates.
    __iter__ = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as plain data, after the ``type`` where there is one."""
        return {name: getattr(self, name) for name in self._keys()}

    def get(self, key: str, default: Any = None) -> Any:
        """Returns a field by its name, or the default."""
        return getattr(self, key) if key in self else default

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            raise KeyError(key)
        return getattr(self, key)

    def __contains__(self, key: object) -> bool:
        return key in self._keys()

    def _keys(self) -> list[str]:
        tag = ["type"] if hasattr(type(self), "type") else []
        return [*tag, *(key.name for key in fields(self))]  # type: ignore[arg-type]

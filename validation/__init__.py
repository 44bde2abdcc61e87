"""Evidence: retrieved traits against what was measured in the field."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from validation.report.report import Report, evaluate

_HOME = {"evaluate": "validation.report.report", "Report": "validation.report.report"}

__all__ = ["Report", "evaluate"]


def __getattr__(name: str):
    """Import `evaluate` and `Report` on first use: pandas stays out of ``import validation``."""
    if name not in _HOME:
        raise AttributeError(f"module 'validation' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)

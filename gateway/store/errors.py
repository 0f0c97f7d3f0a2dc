"""What keeps a store from being opened, or read as a whole."""

from __future__ import annotations


class StoreError(RuntimeError):
    """The store cannot be opened; the sentence is for the operator."""


class ExportError(RuntimeError):
    """Nothing can be exported; the sentence is for the operator."""

"""What keeps a store from being opened."""

from __future__ import annotations


class StoreError(RuntimeError):
    """The store cannot be opened; the sentence is for the operator."""

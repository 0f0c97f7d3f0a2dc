"""What an operator may set for this dialect (`[agora]` of the configuration)."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The defaults are what agora.md decides.

    `message_bytes_max` is of a message's `body` and `ext` together; `recall_window_s` 0 lets nothing be recalled.
    """

    public_url: str = ""
    retention_days: int = 0
    message_bytes_max: int = 5_120
    recall_window_s: int = 120
    open_registration: bool = False
    open_downloads: bool = False
    import_download: bool = False
    vendor_rates: bool = False

"""What a message says once what appends to it and what replaces it is folded into it: as clients do it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.domain.model import Ctype, HistoryItem
from gateway.store.base import Fold


def fold(item: HistoryItem, folds: Iterable[Fold], content_bytes_max: int) -> HistoryItem:
    """Fold messages into the one that they are about, by rising id.

    One that replaces it takes the place of its content, with all that was appended until then, and of its attachment
    where it has one of its own: who corrects what stands below a picture need not send the picture again. What was
    appended is left out from where the content would be longer than one may send, for it is part of every answer.
    """
    content, attachment, size, full = item.content, item.attachment, len(item.content.encode()), False
    for one in folds:
        if one.ctype == Ctype.REPLACE:
            content, attachment, size, full = one.content, one.attachment or attachment, _size(one), False
            continue
        size += _size(one)
        full = full or size > content_bytes_max
        if not full:
            content += one.content
    return msgspec.structs.replace(item, content=content, attachment=attachment)


def _size(one: Fold) -> int:
    return len(one.content.encode())

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
    content, attachment, size = item.content, item.attachment, len(item.content.encode())
    for one in folds:
        if one.ctype == Ctype.REPLACE:
            content, attachment, size = one.content, one.attachment or attachment, len(one.content.encode())
            continue
        # What is left out counts, too: behind a gap nothing follows.
        size += len(one.content.encode())
        if size <= content_bytes_max:
            content += one.content
    return msgspec.structs.replace(item, content=content, attachment=attachment)

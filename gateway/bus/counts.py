"""What a bus has done so far, for metrics, tests and load figures."""

from __future__ import annotations

import msgspec


class Counts(msgspec.Struct):
    """Totals of one node's end of a bus, since it was made; they only rise.

    `commands`: what was asked of the server, beats included. `hints_bare`: published without entries that they had,
    for want of room. `hints_dropped` and `notes_dropped` were never said; of a dropped hint peers learn by the sweep.
    `hints_heard` and `notes_heard` were handed on. `refused`: what was heard and could not be decoded, or
    was another store's. `connects`: how often the bus came up. `beats_missed`: how often it was given up because it
    did not hear itself.
    """

    commands: int = 0
    payloads_published: int = 0
    hints_published: int = 0
    hints_bare: int = 0
    hints_dropped: int = 0
    hints_heard: int = 0
    notes_published: int = 0
    notes_dropped: int = 0
    notes_heard: int = 0
    refused: int = 0
    connects: int = 0
    beats_missed: int = 0

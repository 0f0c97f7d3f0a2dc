"""The device channel without I/O: frames, their bytes, and the session's state machine (design §6)."""

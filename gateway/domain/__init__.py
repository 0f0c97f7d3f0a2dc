"""The ground floor: what the gateway talks about, without I/O and without a clock."""

"""The store port and its engines: the truth of the gateway."""

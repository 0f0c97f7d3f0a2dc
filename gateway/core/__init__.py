"""The floor of rules and state: it sees ports, never engines, and never a transport."""

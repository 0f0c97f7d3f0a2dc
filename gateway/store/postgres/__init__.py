"""The store port on PostgreSQL 14 and later, for many nodes (design §5)."""

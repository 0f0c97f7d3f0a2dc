"""The REST dialects: siblings of one shape that don't know each other."""

"""The floor of aiohttp's server: it turns requests into core calls, and what they answer into bytes."""

"""The front door: owns the listening port, answers what it knows exactly, hands the rest to aiohttp."""

"""The native dialect: Lanying's `/message/*` and the calls around it (lanying.md)."""

"""A self-hosted instant-messaging and push gateway."""

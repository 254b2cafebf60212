"""Published systems, one folder each, and what they share: the engine protocol and the registry."""

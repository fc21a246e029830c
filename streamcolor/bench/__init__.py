"""How fast this machine colors, where the time goes, and what limits it."""

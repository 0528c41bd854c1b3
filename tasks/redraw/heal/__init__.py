"""Say what is wrong with models that somebody else made, and heal what can be healed."""

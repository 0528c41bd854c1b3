"""Ask the graph that training recorded, untouched; it shares no code with the rewriting."""

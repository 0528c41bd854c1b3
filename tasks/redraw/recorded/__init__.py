"""Turn a graph that training recorded (`.meta`, `graph.pbtxt`) into one that serves."""

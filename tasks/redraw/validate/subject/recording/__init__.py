"""Ask the graph that training recorded, unchanged, without the code that rewrites it for serving."""

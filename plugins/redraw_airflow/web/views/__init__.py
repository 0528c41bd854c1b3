"""What the pages show: records turned into rows, charts and actions."""

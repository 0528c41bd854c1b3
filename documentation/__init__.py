"""What makes the documentation site: pages generated from code, and the build that checks them."""

"""Builds the documentation site: generates pages from code, builds all pages and checks them."""

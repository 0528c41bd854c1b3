"""Ask a published version: any request, or its golden examples."""

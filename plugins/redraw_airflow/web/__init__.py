"""The pages of what is published: models, versions, and two of them next to each other.

routes/     one module a page: it asks the browser of the bucket, and fills a template
templates/  the pages; every value in them is escaped
static/     style sheet and scripts: served as they lie here, none from elsewhere
access.py   who may see them
pages.py    a template as an answer
"""

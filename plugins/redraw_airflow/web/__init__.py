"""The pages of published models, their versions, and comparisons of two versions.

routes/     a module for each page: it reads the bucket and fills a template
templates/  the pages; every value in them is escaped
static/     style sheets and scripts, served unchanged; none comes from elsewhere
views/      records turned into rows, charts and actions
server/     access rights, buckets, worker processes, headers, errors
pages.py    renders a template
"""

"""The local storage server: what Redraw uses of Cloud Storage's JSON API, for those who know its token.

    python -m redraw_airflow.standalone.storage_server --port 4443 --root FOLDER --token-file FILE

It stands in for Cloud Storage on one machine. A web page in the user's browser can reach loopback, and so
can every user of the machine: each request has to carry the token, name this host, and come from no page.
"""

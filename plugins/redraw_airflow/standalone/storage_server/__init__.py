"""The local storage server: the part of Cloud Storage's JSON API that Redraw uses, behind a token.

    python -m redraw_airflow.standalone.storage_server --port 4443 --root FOLDER --token-file FILE

It stands in for Cloud Storage on one machine. A web page in the user's browser can reach loopback, and so can
every user of the machine. So each request has to carry the token, name this host, and not come from a page.
"""

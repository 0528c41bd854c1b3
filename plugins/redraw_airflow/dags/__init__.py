"""The DAGs as functions, their forms and their callbacks."""

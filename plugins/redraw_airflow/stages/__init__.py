"""Run a stage: in a process or a pod, with its credentials, its log and its outcome."""

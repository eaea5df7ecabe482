"""The job engine: supervisor, worker processes, leases. Knows no kind of job; kinds are handed in by name.

A supervisor claims a job and spawns one child per attempt; the child heartbeats, runs the kind's function and writes
its outcome. Children die with their parent; the next attempt goes on from what is stored.
"""

"""The embedded stack: a real PostgreSQL and a real Redis-protocol broker from Python wheels, and our own
processes, started and watched by a small supervisor. Plain Python: no Django in here.

Facts and traps behind it: reference/reliability.md Part A (measured).
"""

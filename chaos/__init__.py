"""Faults on purpose: a workflow with people on the real stack while parts are killed, wiped, stopped and lied to.

Nothing of this is part of the product; `script/chaos` starts it. What it promises and found: docs/reliability.md.
"""

"""Measurements of the product on this machine, through its own processes: see script/bench."""

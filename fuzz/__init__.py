"""Inputs that nobody would write, thrown at whatever reads what people send (script/fuzz)."""

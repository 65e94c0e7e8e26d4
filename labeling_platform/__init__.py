"""The project package: its floor (lib, accounts), its roof (urls, admin) and its settings."""

"""What must not be written to a log."""

from __future__ import annotations

import logging
import re

INVITATION = re.compile(r"/invite/[^/\s?#\"']+")


class HideTokens(logging.Filter):
    """Takes the token out of the address of an invitation: who reads a log must not be able to get into a team."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if "/invite/" in text:
            record.msg, record.args = INVITATION.sub("/invite/...", text), None
        return True

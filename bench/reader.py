"""Reads one upload in a process of its own: python -m bench.reader TEAM UPLOAD. Prints its seconds and peak memory."""

from __future__ import annotations

import json
import sys
import time

import django


def main() -> None:
    django.setup()
    from django_scopes import scope

    from bench.product import peak_rss_mb
    from labeling_platform.accounts.models import Team
    from workflows_app import services
    from workflows_app.models import WorkflowUpload

    team, upload = map(int, sys.argv[1:])
    with scope(team=Team.objects.get(pk=team)):
        found = WorkflowUpload.objects.get(pk=upload)
        services.confirm_upload(upload=found, actor=None)
        began = time.perf_counter()
        while services.read_rows(upload=found):
            pass
        seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "peak_rss_mb": peak_rss_mb()}))


if __name__ == "__main__":
    main()

"""Settings from environment variables, or from files that they name: NAME_FILE is the path of NAME's value."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

SUFFIX = "_FILE"


class Variables(Mapping[str, str]):
    """Environment variables; where NAME is not set and NAME_FILE is, the contents of that file without outer spaces.

    Raises ValueError when the file cannot be read; the message names the variable, never the contents.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def __getitem__(self, name: str) -> str:
        path = self._env.get(name + SUFFIX, "")
        if self._env.get(name) or not path:
            return self._env[name]
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"The file that {name}{SUFFIX} names cannot be read: {type(error).__name__}.") from None

    def __iter__(self) -> Iterator[str]:
        named = {name.removesuffix(SUFFIX) for name in self._env if name.endswith(SUFFIX)}
        return iter({*self._env, *named})

    def __len__(self) -> int:
        return len(list(iter(self)))


def export_files(*names: str) -> None:
    """Put the values of these variables into the environment, for libraries that look there themselves."""
    variables = Variables(os.environ)
    for name in names:
        if os.environ.get(name + SUFFIX) and not os.environ.get(name):
            os.environ[name] = variables[name]

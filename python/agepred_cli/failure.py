"""How commands end when they cannot do what was asked, and how they reach what is not installed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from agepred_edge import AgepredError

CANNOT_START = 2
"""Exit status where nothing was done: wrong usage, missing files or packages."""


def complain(message: object) -> None:
    """Says on standard error what is wrong, and goes on."""
    sys.stdout.flush()
    typer.echo(f"agepred: {message}", err=True)


def fail(message: object, status: int = CANNOT_START) -> NoReturn:
    """Says on standard error what is wrong and ends the command."""
    complain(message)
    raise typer.Exit(status)


@contextmanager
def reported(*kinds: type[Exception]) -> Iterator[None]:
    """Ends the command with a message in place of a traceback for agepred's errors and the kinds named."""
    expected: tuple[type[Exception], ...] = (AgepredError, OSError, *kinds)
    try:
        yield
    except expected as error:
        fail(_in_words(error))


@contextmanager
def training_tools() -> Iterator[None]:
    """Around imports of agepred_train: where they fail, ends the command with the extra to install."""
    try:
        yield
    except ImportError as missing:
        fail(f"this command needs the training tools: pip install 'agepred-edge[train]' ({missing})")


def _in_words(error: Exception) -> str:
    """The message without the system's error number, where it is the system that speaks."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)

"""Lets `python -m agepred_cli` do what `agepred` does."""

from agepred_cli import main

main()

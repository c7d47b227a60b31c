"""The command agepred: ages in photographs, and the tools that make the model."""

import sys
import warnings


def main() -> None:
    """Runs the command with the process's arguments and ends the process with its exit status."""
    try:
        # Imported here, since what it needs is an extra: the library alone does without.
        from agepred_cli.app import app  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in ("typer", "rich", "PIL"):
            raise
        print(f"agepred: the command needs {package}: pip install 'agepred-edge[cli]'", file=sys.stderr)
        sys.exit(2)
    # Warnings speak to developers, such as Pillow's about metadata of a picture that can be read all the same.
    warnings.simplefilter("ignore")
    app(prog_name="agepred")

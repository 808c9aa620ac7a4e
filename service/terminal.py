"""Where `convscope` begins: all else is imported from here, so that Ctrl-C ends the process quietly meanwhile."""

import signal


def main() -> None:
    """Run the command line."""
    # Death by this signal is exit code 130 in a shell; Python's own handler would print where the import stood.
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from service.cli import main as program

    signal.signal(signal.SIGINT, handler)
    try:
        program(prog_name="convscope")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

"""``python -m cli``: the command line."""

import os
import sys

if __name__ == "__main__":
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started this
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - until the end
    try:
        from cli.main import main

        main(prog_name="mailgrant")
    except KeyboardInterrupt:  # before click could hear of it
        sys.exit(130)

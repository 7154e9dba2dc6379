"""``python -m cli``: the command line."""

import sys

if __name__ == "__main__":
    try:
        from cli.main import main

        main(prog_name="mailgrant")
    except KeyboardInterrupt:  # before click could hear of it
        sys.exit(130)

"""The documentation does what it says: its commands run, its links and anchors exist."""

"""No secret is where it may not be: after every run the places where one could have leaked are searched.

``canaries.py`` holds the secrets and finds them again, ``sources.py`` notes each where it is made or seen,
``places.py`` reads what is to be searched, ``allowed.toml`` says what may be where, and ``watch.py`` does it
around the sandboxes of a run.
"""

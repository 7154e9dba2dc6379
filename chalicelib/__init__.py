"""The package of the Lambda functions, from the bottom to the top; imports point only downwards.

::

    app.py                       the list of Lambda functions (outside this package)
    web                          HTTP: the API, the connect pages, the callback; the only user of chalice
    wiring                       builds everything from Settings, lazily; the only module that knows all
    aws                          what callers, accounts and mail are handed (tables, keys, secrets, queues);
                                 the only user of boto3
    callers   accounts   mail    who may use what; mailboxes and their tokens; messages and their relaying
    providers   transports       how Microsoft and Google are spoken to; how a message is handed to a server
    */models                     frozen values and pure transitions
    errors  diagnosis  settings  ids  clock  secret  reading  network  https   the words that everybody uses
"""

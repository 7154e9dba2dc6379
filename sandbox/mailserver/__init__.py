"""The sandbox's mail server: SMTP submission listeners and a web side, all in memory and on 127.0.0.1.

One listener answers as Microsoft does, one as Google and one as Postfix; each has a port for STARTTLS and one
that begins with TLS. Map of the package, bottom to top:

- ``replies``: an SMTP reply as a value, and the replies that all listeners share;
- ``temperament``: what differs between the listeners, as data;
- ``records``: the shapes of the JSON that the web side gives and the client reads;
- ``mailboxes``: who may do what with which mailbox;
- ``settings``: which EHLO extensions each listener offers;
- ``faults``: the book of faults that a test asked for, command by command;
- ``content``: reading (and, for Google, rewriting) the headers and parts of a message;
- ``store``: the accepted messages and the record of every session, which are the tests' oracle;
- ``introspection``: asks the provider whose an access token or a password is;
- ``wire``: lines and TLS over one socket;
- ``sasl``, ``authentication``, ``delivery``, ``session``: the SMTP dialogue;
- ``pages``, ``routes``, ``web``: the mailboxes as pages, as JSON and as .eml files, and the control API;
- ``server``: ``MailServer``, which starts and stops all of it;
- ``client``: ``MailServerClient``, which speaks to the web side.
"""

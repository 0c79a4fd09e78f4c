"""What a process shows of itself over HTTP: an ASGI app, a WSGI app, and a server of its own."""

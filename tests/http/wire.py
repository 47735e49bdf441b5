"""Requests byte for byte, for what an HTTP library would not send."""
import socket


def exchange(port, data, timeout=10):
    """Sends bytes, reads until the server closes; the request should say "Connection: close"."""
    with socket.create_connection(("127.0.0.1", port), timeout) as s:
        s.sendall(data if isinstance(data, bytes) else data.encode())
        out = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                return out
            out += piece


def request(port, line, *fields, body=b"", token=None):
    head = [line, "Host: perigee.test", "Connection: close", *fields]
    if token:
        head.append("Authorization: Bearer " + token)
    if body:
        head.append(f"Content-Length: {len(body)}")
    raw = exchange(port, "\r\n".join(head).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body)
    top, _, rest = raw.partition(b"\r\n\r\n")
    lines = top.decode("latin-1").split("\r\n")
    fields = {}
    for one in lines[1:]:
        name, _, value = one.partition(":")
        fields[name.strip().lower()] = value.strip()
    return int(lines[0].split(" ")[1]), fields, rest
